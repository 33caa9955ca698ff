import type { ConfigFailure } from "./config-failure";
import type { Topology } from "./routes";

/** The private DNS zone of a flexible server ends with this. */
const suffix = ".postgres.database.azure.com";

export interface ZoneNameParts {
  readonly lab: string;
  readonly stack: string;
  readonly topology: Topology;
  /** The configured name. */
  readonly privateDnsZone?: string | undefined;
}

/** Azure prescribes the zone of private endpoints. The zone of a server in a virtual network has a free first part. */
export function zoneNameOf({ lab, stack, topology, privateDnsZone }: ZoneNameParts): string {
  if (topology === "privateEndpoint") return `privatelink${suffix}`;
  return privateDnsZone ?? `${lab}-${stack}.private${suffix}`;
}

/** Returns why Azure would refuse the zone for this server, or an empty list. */
export function checkZoneName(zoneName: string, serverName: string): ConfigFailure[] {
  const refuse = (message: string) => [{ key: "privateDnsZone", message }];
  const labels = zoneName.slice(0, -suffix.length).split(".");
  if (!zoneName.endsWith(suffix)) return refuse(`invalid name "${zoneName}", expected a name that ends in ${suffix}`);
  if (!labels.every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(label)))
    return refuse(`invalid name "${zoneName}", expected labels of letters, digits and hyphens, separated by dots`);
  if (zoneName === `${serverName}${suffix}`)
    return refuse(`${zoneName} is the public name of the server, Azure refuses it as a zone, choose another name`);
  return [];
}
