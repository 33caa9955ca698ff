/** What the private zone of a flexible server ends in. */
const suffix = ".postgres.database.azure.com";

export interface ZoneNameParts {
  readonly lab: string;
  readonly stack: string;
  readonly topology: "private" | "public" | "privateEndpoint";
  /** The configuration's own choice. */
  readonly wanted?: string | undefined;
}

/** A private endpoint's zone has one name in all of Azure; a virtual network's server has a zone with a free first part. */
export function zoneNameOf({ lab, stack, topology, wanted }: ZoneNameParts): string {
  if (topology === "privateEndpoint") return `privatelink${suffix}`;
  return wanted ?? `${lab}-${stack}.private${suffix}`;
}

/** Why Azure would refuse the zone for this server; undefined when it takes it. */
export function refusedZoneName(zoneName: string, serverName: string): string | undefined {
  const labels = zoneName.slice(0, -suffix.length).split(".");
  if (!zoneName.endsWith(suffix)) return `${zoneName} must end in ${suffix}, after a name of its own`;
  if (!labels.every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(label)))
    return `${zoneName} is no name of a zone; use letters, digits and hyphens between its points`;
  if (zoneName === `${serverName}${suffix}`)
    return `${zoneName} is the server's own public name; Azure refuses it, choose another one`;
  return undefined;
}
