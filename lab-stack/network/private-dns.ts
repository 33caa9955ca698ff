import * as privatedns from "@pulumi/azure-native/privatedns";
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { LabError } from "../lab-error";
import type { LabContext } from "../lab-context";
import type { LabNetwork } from "./network";
import { readList } from "../resource-manager";

const apiVersion = "2024-06-01";

const recordSets = z.object({
  value: z.array(
    z.object({
      name: z.string(),
      properties: z.object({ aRecords: z.array(z.object({ ipv4Address: z.ipv4() })).default([]) }),
    }),
  ),
});

export interface PrivateDns {
  readonly zone: privatedns.PrivateZone;
  /** The server is created after this link, because its name does not resolve without it. */
  readonly link: privatedns.VirtualNetworkLink;
}

export function declarePrivateDns({ config, naming, group }: LabContext, { virtualNetwork }: LabNetwork): PrivateDns {
  const zone = new privatedns.PrivateZone(naming.of("pdns"), {
    resourceGroupName: group.name,
    privateZoneName: config.zoneName,
    location: "Global",
    tags: naming.tags,
  });
  const link = new privatedns.VirtualNetworkLink(naming.of("pdnslink"), {
    resourceGroupName: group.name,
    privateZoneName: zone.name,
    virtualNetworkLinkName: naming.of("pdnslink"),
    location: "Global",
    virtualNetwork: { id: virtualNetwork.id },
    registrationEnabled: false,
    tags: naming.tags,
  });
  return { zone, link };
}

/** The zone does not contain exactly one address. */
export class PrivateAddressNotFoundError extends LabError {}

/**
 * Reads the server's address from the zone's A records once `ready` exists. It lists all records, because Azure
 * generates the name of the record.
 *
 * @throws PrivateAddressNotFoundError, in the output
 */
export function readPrivateAddress(
  { config }: LabContext,
  { zone }: PrivateDns,
  ready: pulumi.Input<pulumi.Resource>,
): pulumi.Output<string> {
  const records = readList(config, pulumi.interpolate`${zone.id}/A`, apiVersion, ready);
  return records.apply((answer) => onlyAddress(recordSets.parse(answer), config.zoneName));
}

function onlyAddress({ value }: z.output<typeof recordSets>, zoneName: string): string {
  const addresses = value.flatMap((set) => set.properties.aRecords.map((record) => record.ipv4Address));
  const [address] = addresses;
  if (address !== undefined && addresses.length === 1) return address;
  throw new PrivateAddressNotFoundError(
    `expected one A record in the zone ${zoneName}, found ${addresses.length}: ${addresses.join(", ") || "none"}. ` +
      "Remove records of other servers from the zone, then run pulumi up again.",
  );
}
