import type * as dbforpostgresql from "@pulumi/azure-native/dbforpostgresql";
import * as network from "@pulumi/azure-native/network";
import type * as pulumi from "@pulumi/pulumi";
import type { LabNetwork, Place } from "./network";
import type { PrivateDns } from "./private-dns";

/** The server's network card in the virtual network, and its name there. Resolves once the name does. */
export function declarePrivateEndpoint(
  { naming, group }: Place,
  { privateEndpoints: subnet }: LabNetwork,
  { zone, link }: PrivateDns,
  server: dbforpostgresql.Server,
  last: pulumi.Resource,
): pulumi.Resource {
  if (!subnet) return last;
  const endpoint = new network.PrivateEndpoint(
    naming.of("pep"),
    {
      resourceGroupName: group.name,
      location: group.location,
      privateEndpointName: naming.of("pep"),
      subnet: { id: subnet.id },
      privateLinkServiceConnections: [
        { name: "flexible-server", privateLinkServiceId: server.id, groupIds: ["postgresqlServer"] },
      ],
      tags: naming.tags,
    },
    // The server is changed by it, and Azure changes it in one way at a time.
    { dependsOn: [last] },
  );
  return new network.PrivateDnsZoneGroup(
    naming.of("pep", "zone-group"),
    {
      resourceGroupName: group.name,
      privateEndpointName: endpoint.name,
      privateDnsZoneGroupName: "default",
      privateDnsZoneConfigs: [{ name: "postgres", privateDnsZoneId: zone.id }],
    },
    { dependsOn: [link] },
  );
}
