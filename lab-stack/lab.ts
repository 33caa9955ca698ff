import * as resources from "@pulumi/azure-native/resources";
import * as pulumi from "@pulumi/pulumi";
import type { LabConfig } from "./config/lab-schema";
import type { LabContext } from "./lab-context";
import { declareMigration } from "./migration/migration";
import { declareDnsResolver } from "./network/dns-resolver";
import { declareNetwork, type LabNetwork } from "./network/network";
import { declarePrivateDns, readPrivateAddress } from "./network/private-dns";
import { declarePrivateEndpoint } from "./network/private-endpoint";
import { naming } from "./resource-names";
import { declarePeerings } from "./network/peering";
import { declareAlerts } from "./server/alerts";
import { type ConnectionStrings, connectionStrings } from "./server/connection-strings";
import type { ExistingServer } from "./server/existing-server";
import { declareFlexibleServer } from "./server/flexible-server";
import { declareServerParameters, serverParametersOf } from "./server/server-parameters";
import { declareMonitoring } from "./server/monitoring";
import { declareSourceServer } from "./source/source-server";
import { declareSiteToSite } from "./vpn/site-to-site";
import { sourceClients } from "./source/source-clients";
import { sourcePreparation, type SourcePreparation } from "./source/source-preparation";
import { declareVpnGateway } from "./vpn/vpn-gateway";

/** The stack's outputs. An output that the configuration does not need is absent. */
export interface Lab {
  readonly resourceGroup: pulumi.Output<string>;
  readonly serverName: pulumi.Output<string>;
  readonly host: pulumi.Output<string>;
  readonly administratorLogin: string;
  readonly administratorPassword: pulumi.Output<string>;
  /** The server's address in the virtual network. Absent for a public server. */
  readonly privateAddress?: pulumi.Output<string>;
  readonly source: pulumi.Output<SourcePreparation>;
  /** The id of the subnet for the migration's worker. */
  readonly runnerSubnet?: pulumi.Output<string>;
  /** The address of the source server. */
  readonly sourceHost?: string;
  readonly vpnGateway?: pulumi.Output<string>;
  readonly connectionStrings: pulumi.Output<ConnectionStrings>;
  /** The `currentStatus` of the migration. */
  readonly migration?: pulumi.Output<unknown>;
}

/** Settings that the new server copies from other servers. */
export interface CopiedSettings {
  /** Parameters of the migration's source. */
  readonly fromSource: Readonly<Record<string, string>>;
  readonly existing: ExistingServer;
}

/** Declares all resources, in the order of their dependencies. */
export function declareLab(config: LabConfig, { fromSource, existing }: CopiedSettings): Lab {
  const names = naming(config.name, { ...existing.tags, ...config.tags });
  const group = new resources.ResourceGroup(
    names.of("rg"),
    { resourceGroupName: names.of("rg"), location: config.location, tags: names.tags },
    // Azure deletes the resources of a group together with the group.
    { protect: config.protectData },
  );
  const context: LabContext = { config, naming: names, group };
  const network = declareNetwork(context);
  const dns = config.topology === "public" ? undefined : declarePrivateDns(context, network);
  const created = declareFlexibleServer(context, network, dns, existing.firewallRules);
  const configured = declareServerParameters(
    context,
    created,
    serverParametersOf(config, { ...fromSource, ...existing.parameters }),
  );
  const ready = dns ? declarePrivateEndpoint(context, { ...network, dns }, created.server, configured) : configured;
  const privateAddress = dns && readPrivateAddress(context, dns, ready);
  const gateway = declareVpnGateway(context, network);
  const resolver = declareDnsResolver(context, network);
  const connection = declareSiteToSite(context, gateway);
  declarePeerings(context, network, dns);
  const sourceServer = declareSourceServer(context, network);
  declareAlerts(context, created.server, existing.alerts);
  declareMonitoring(context, created.server);
  const reachableThrough = [ready, gateway, resolver, connection, sourceServer?.machine].filter(
    (resource) => resource !== undefined,
  );
  const migration = declareMigration(context, { ...created, network, privateAddress, reachableThrough });
  return {
    ...outputsOf(context, network, created),
    ...(privateAddress && { privateAddress }),
    ...(network.runner && { runnerSubnet: network.runner.id }),
    ...(sourceServer && { sourceHost: sourceServer.host }),
    ...(gateway && { vpnGateway: gateway.id }),
    ...(migration && { migration }),
  };
}

function outputsOf(
  { config, group }: LabContext,
  network: LabNetwork,
  { server, administratorPassword }: ReturnType<typeof declareFlexibleServer>,
): Lab {
  const { administratorLogin } = config.server;
  const { migration } = config;
  const host = server.fullyQualifiedDomainName;
  return {
    resourceGroup: group.name,
    serverName: server.name,
    host,
    administratorLogin,
    administratorPassword,
    source: sourceClients(config, network).apply((clients) =>
      sourcePreparation(migration?.source.user ?? "postgres", clients),
    ),
    connectionStrings: connectionStrings(
      pulumi.all([host, administratorPassword]).apply(([knownHost, password]) => ({
        host: knownHost,
        user: administratorLogin,
        password,
        database: migration?.databases[0] ?? "postgres",
      })),
    ),
  };
}
