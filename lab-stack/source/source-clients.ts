import * as pulumi from "@pulumi/pulumi";
import type { LabConfig } from "../config/lab-schema";
import type { LabNetwork } from "../network/network";

const unknown = {
  pulumiMachine: "<address of the machine that runs pulumi up>/32",
  workerMachine: "<public address of the worker's machine>/32",
  flexibleServer: "<public address of the flexible server>/32",
  runtimeServer: "<subnet of the runtime server>",
};

/**
 * The address ranges that connect to the source. An address that the lab does not know is a placeholder in `<...>`,
 * which PostgreSQL refuses in pg_hba.conf.
 */
export function sourceClients(config: LabConfig, network: LabNetwork): pulumi.Output<readonly string[]> {
  const { natGateway } = network;
  if (natGateway && config.migration?.source.network === "public")
    return natGateway.publicAddress.ipAddress.apply((address) => [`${address!}/32`]);
  return pulumi.output(config.migration?.engine === "azure" ? clientsOfAzure(config) : clientsOfWorker(config));
}

/** Microsoft's service connects from the target, or from the runtime server of a private endpoint. */
function clientsOfAzure({ migration, topology, addressPlan }: LabConfig): readonly string[] {
  if (topology === "privateEndpoint") return [unknown.runtimeServer];
  return [migration?.source.network === "public" ? unknown.flexibleServer : addressPlan.server];
}

function clientsOfWorker({ migration, vpn, addressPlan }: LabConfig): readonly string[] {
  const { worker, source } = migration ?? { worker: "onPremises", source: { network: "onPremises" } };
  if (worker !== "onPremises") return [source.network === "public" ? unknown.workerMachine : addressPlan.runner];
  if (source.network === "virtualNetwork" && vpn.enabled) return [addressPlan.vpnClients];
  if (source.network === "public" || addressPlan.onPremises.length === 0) return [unknown.pulumiMachine];
  return addressPlan.onPremises;
}
