import * as resources from "@pulumi/azure-native/resources";
import * as pulumi from "@pulumi/pulumi";
import { declareAlerts } from "./server/alerts";
import { type ConnectionStrings, connectionStrings } from "./server/connection-strings";
import { declareDnsResolver } from "./network/dns-resolver";
import type { ExistingServer } from "./server/existing-server";
import { declareFlexibleServer } from "./server/flexible-server";
import type { LabConfig } from "./lab-config";
import { declareMigration } from "./migration/migration";
import { naming } from "./resource-names";
import { declareNetwork, type LabNetwork, type Place } from "./network/network";
import { declarePrivateDns, readPrivateAddress } from "./network/private-dns";
import { declarePrivateEndpoint } from "./network/private-endpoint";
import { declareServerParameters, serverParametersOf } from "./server/server-parameters";
import { sourcePreparation, type SourcePreparation } from "./source-preparation";
import { declareVpnGateway } from "./vpn/vpn-gateway";

/** The stack's outputs. */
export interface Lab {
  readonly resourceGroup: pulumi.Output<string>;
  readonly serverName: pulumi.Output<string>;
  readonly host: pulumi.Output<string>;
  readonly administratorLogin: string;
  readonly administratorPassword: pulumi.Output<string>;
  /** The server's address in the virtual network; a public server has none. */
  readonly privateAddress: pulumi.Output<string> | undefined;
  readonly source: pulumi.Output<SourcePreparation>;
  /** Where a migration's worker may run; a subnet's id. */
  readonly runnerSubnet: pulumi.Output<string> | undefined;
  readonly vpnGateway: pulumi.Output<string> | undefined;
  readonly connectionStrings: pulumi.Output<ConnectionStrings>;
  readonly migration: pulumi.Output<unknown> | undefined;
}

/** What other servers give to the new one. */
export interface Inheritance {
  /** Parameters of the migration's source. */
  readonly fromSource: Readonly<Record<string, string>>;
  readonly existing: ExistingServer;
}

/** Declares everything, in the order in which one needs the other. */
export function declareLab(config: LabConfig, { fromSource, existing }: Inheritance): Lab {
  const names = naming(config.name, { ...existing.tags, ...config.tags });
  const group = new resources.ResourceGroup(
    names.of("rg"),
    { resourceGroupName: names.of("rg"), location: config.location, tags: names.tags },
    // Deleting a group deletes what is in it.
    { protect: config.protectData },
  );
  const place: Place = { config, naming: names, group };
  const network = declareNetwork(place);
  const dns = config.topology === "public" ? undefined : declarePrivateDns(place, network);
  const created = declareFlexibleServer(place, network, dns, existing.firewallRules);
  const set = declareServerParameters(
    place,
    created,
    serverParametersOf(config, { ...fromSource, ...existing.parameters }),
  );
  const ready = dns ? declarePrivateEndpoint(place, network, dns, created.server, set) : set;
  const privateAddress = dns && readPrivateAddress(place, dns, ready);
  const gateway = declareVpnGateway(place, network);
  const resolver = declareDnsResolver(place, network);
  declareAlerts(place, created.server, existing.alerts);
  const reachableThrough = [ready, gateway, resolver].filter((resource) => resource !== undefined);
  const migration = declareMigration(place, { ...created, network, privateAddress, reachableThrough });
  return {
    ...outputsOf(place, network, created, privateAddress),
    runnerSubnet: network.runner?.id,
    vpnGateway: gateway?.id,
    migration,
  };
}

function outputsOf(
  { config, group }: Place,
  network: LabNetwork,
  { server, administratorPassword }: ReturnType<typeof declareFlexibleServer>,
  privateAddress: pulumi.Output<string> | undefined,
): Omit<Lab, "runnerSubnet" | "vpnGateway" | "migration"> {
  const { administratorLogin } = config.server;
  const { migration } = config;
  const database = migration?.databases[0] ?? "postgres";
  const host = server.fullyQualifiedDomainName;
  return {
    resourceGroup: group.name,
    serverName: server.name,
    host,
    administratorLogin,
    administratorPassword,
    privateAddress,
    source: pulumi
      .output(visitorsOf(config, network))
      .apply((from) => sourcePreparation(migration?.source.user ?? "postgres", from)),
    connectionStrings: connectionStrings(
      pulumi.all([host, administratorPassword]).apply(([known, password]) => ({
        host: known,
        user: administratorLogin,
        password,
        database,
      })),
    ),
  };
}

/** Whence connections come to the source, as a range. */
function visitorsOf({ migration, addressPlan }: LabConfig, { wayOut }: LabNetwork): pulumi.Input<string> {
  if (migration?.source.network === "public" && wayOut)
    return wayOut.address.ipAddress.apply((address) => `${address!}/32`);
  return migration && migration.worker !== "onPremises" ? addressPlan.runner : addressPlan.server;
}
