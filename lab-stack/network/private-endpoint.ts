import type * as dbforpostgresql from "@pulumi/azure-native/dbforpostgresql";
import * as network from "@pulumi/azure-native/network";
import type * as pulumi from "@pulumi/pulumi";
import type { LabContext } from "../lab-context";
import type { LabNetwork } from "./network";
import type { PrivateDns } from "./private-dns";

/** Declares the server's private endpoint and its name in the zone. Returns the resource that completes both. */
export function declarePrivateEndpoint(
  { naming, group }: LabContext,
  { privateEndpoints: subnet, dns: { zone, link } }: LabNetwork & { readonly dns: PrivateDns },
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
    // This changes the server, and Azure makes one change at a time.
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
