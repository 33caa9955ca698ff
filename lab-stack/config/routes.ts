import type { ConfigFailure } from "./config-failure";

/** The network of a source. */
export type SourceNetwork = "public" | "onPremises" | "virtualNetwork";
export type Topology = "private" | "public" | "privateEndpoint";

/** The settings that decide whether the migration reaches both the source and the target. */
export interface Route {
  readonly topology: Topology;
  readonly vpn: { readonly enabled: boolean };
  readonly connectedElsewhere: boolean;
  readonly firewallRules: readonly unknown[];
  readonly migration?:
    | {
        readonly engine: "embedded" | "azure";
        readonly source: { readonly network: SourceNetwork };
        readonly worker: "onPremises" | "virtualNetwork" | "container";
        readonly runtimeServer?: string | undefined;
      }
    | undefined;
}

/**
 * Returns the reason why a migration cannot work between these networks, or an empty list. The rules for Microsoft's
 * service are those of "Network scenarios" in its documentation. The embedded engine's worker must reach both servers.
 */
export function checkRoute(route: Route): ConfigFailure[] {
  if (!route.migration) return [];
  const failure = route.migration.engine === "azure" ? failureOfAzure(route) : failureOfWorker(route);
  return failure ? [failure] : [];
}

function failureOfAzure({ topology, vpn, connectedElsewhere, migration }: Route): ConfigFailure | undefined {
  const network = migration!.source.network;
  if (topology === "privateEndpoint" && migration!.runtimeServer === undefined)
    return {
      key: "migration.runtimeServer",
      message:
        "is missing, Microsoft's service reaches private endpoints only through a runtime server in the virtual network",
    };
  if (network === "public") return undefined;
  if (topology === "public")
    return {
      key: "topology",
      message: `Microsoft's service cannot combine a public target with a source in a private network (${network}), use topology private, or engine embedded`,
    };
  if (network === "onPremises" && !vpn.enabled && !connectedElsewhere)
    return {
      key: "vpn.enabled",
      message:
        "the virtual network has no connection to the source on premises, enable the VPN, or set connectedElsewhere",
    };
  return undefined;
}

function failureOfWorker(route: Route): ConfigFailure | undefined {
  const { topology, vpn, connectedElsewhere, migration, firewallRules } = route;
  const { worker, source } = migration!;
  const isConnected = vpn.enabled || connectedElsewhere;
  if (worker !== "onPremises" && source.network === "onPremises" && !isConnected)
    return {
      key: "migration.worker",
      message: "a worker in the virtual network reaches a source on premises only over VPN, run it on premises",
    };
  if (worker === "onPremises" && source.network === "virtualNetwork" && !isConnected)
    return {
      key: "migration.worker",
      message:
        "a worker on premises reaches a source in the virtual network only over VPN, run it in the virtual network",
    };
  // The migration's records are on the target: `pulumi up` reads them, wherever the worker runs.
  if (worker !== "virtualNetwork" && topology !== "public" && !isConnected)
    return {
      key: "vpn.enabled",
      message: `${worker === "container" ? "pulumi up" : "a worker on premises"} reaches a server with topology ${topology} only over VPN, enable it, or set connectedElsewhere`,
    };
  if (topology === "public" && firewallRules.length === 0)
    return {
      key: "firewallRules",
      message: "is empty, and a public server refuses every connection, add the address of pulumi up or of the worker",
    };
  return undefined;
}
