import type * as pulumi from "@pulumi/pulumi";
import type { LabNetwork } from "../network/network";
import type { FlexibleServer } from "../server/flexible-server";

/** The server that receives the migrated databases. */
export interface MigrationTarget extends FlexibleServer {
  /** The server's address in the virtual network. Undefined for a public server. */
  readonly privateAddress: pulumi.Output<string> | undefined;
  /** Resources that must exist before a migration can connect to the server. */
  readonly reachableThrough: readonly pulumi.Resource[];
  readonly network: LabNetwork;
}
