import * as privatedns from "@pulumi/azure-native/privatedns";
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { LabError } from "../lab-error";
import type { LabNetwork, Place } from "./network";
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
  /** A server may be created once this is there: before, its name leads nowhere. */
  readonly link: privatedns.VirtualNetworkLink;
}

export function declarePrivateDns({ config, naming, group }: Place, { virtualNetwork }: LabNetwork): PrivateDns {
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

/** The zone has no address, or several, where the server's single one is looked for. */
export class PrivateAddressNotFound extends LabError {}

/**
 * The server's address, read from the zone's A records once `ready` exists. All are listed, because the record of a
 * server in a virtual network bears a name that Azure makes up.
 *
 * @throws PrivateAddressNotFound, in the output
 */
export function readPrivateAddress(
  { config }: Place,
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
  throw new PrivateAddressNotFound(
    `the zone ${zoneName} has ${addresses.length} A records (${addresses.join(", ")}), but one server's is expected; ` +
      "keep the lab's zone to the lab's server, then run pulumi up again",
  );
}
