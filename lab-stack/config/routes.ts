/** Where a source is seen from. */
export type SourceNetwork = "public" | "onPremises" | "virtualNetwork";
export type Topology = "private" | "public" | "privateEndpoint";

/** What decides whether whoever migrates reaches both the source and the target. */
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

export interface RefusedRoute {
  /** The configuration's key to change. */
  readonly key: string;
  readonly reason: string;
}

/**
 * Why a migration cannot work between these networks; undefined when it can. For Azure's own service the rules are those
 * of "Network scenarios" in the documentation of its migration service; for the embedded engine the worker itself must
 * reach both servers.
 */
export function refusedRoute(route: Route): RefusedRoute | undefined {
  if (!route.migration) return undefined;
  return route.migration.engine === "azure" ? refusedByAzure(route) : refusedByWorker(route);
}

function refusedByAzure({ topology, vpn, connectedElsewhere, migration }: Route): RefusedRoute | undefined {
  const network = migration!.source.network;
  if (topology === "privateEndpoint" && migration!.runtimeServer === undefined)
    return {
      key: "migration.runtimeServer",
      reason:
        "is missing; Azure's service reaches private endpoints through a runtime server in the virtual network only",
    };
  if (network === "public") return undefined;
  if (topology === "public")
    return {
      key: "topology",
      reason: `a public target and a source in a private network (${network}) cannot be combined in Azure's service; use private, or engine embedded`,
    };
  if (network === "onPremises" && !vpn.enabled && !connectedElsewhere)
    return {
      key: "vpn.enabled",
      reason: "nothing leads from the virtual network to the source on premises; enable it, or set connectedElsewhere",
    };
  return undefined;
}

function refusedByWorker(route: Route): RefusedRoute | undefined {
  const { topology, vpn, connectedElsewhere, migration, firewallRules } = route;
  const { worker, source } = migration!;
  const isConnected = vpn.enabled || connectedElsewhere;
  if (worker !== "onPremises" && source.network === "onPremises" && !isConnected)
    return {
      key: "migration.worker",
      reason: "a worker in the virtual network does not reach a source on premises without VPN; run it on premises",
    };
  if (worker === "onPremises" && source.network === "virtualNetwork" && !isConnected)
    return {
      key: "migration.worker",
      reason: "a worker on premises does not reach a source in the virtual network; run it in the virtual network",
    };
  // The migration's records lie on the server: `pulumi up` reads them wherever the worker is.
  if (worker !== "virtualNetwork" && topology !== "public" && !isConnected)
    return {
      key: "vpn.enabled",
      reason: `${worker === "container" ? "pulumi up" : "a worker on premises"} reaches a server with topology ${topology} over VPN only; enable it, or set connectedElsewhere`,
    };
  if (topology === "public" && firewallRules.length === 0)
    return {
      key: "firewallRules",
      reason:
        "a public server refuses everybody until a rule names the address that pulumi up, or the worker, comes from",
    };
  return undefined;
}
