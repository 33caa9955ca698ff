import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { authenticationSchema } from "../inputs/authentication.js";
import { type TokenAuthentication, usesToken } from "../postgres/authentication/authentication.js";
import type { SslMode } from "../postgres/connection/endpoint.js";
import { formatBytes, parseByteSize } from "../units/byte-size.js";
import { budgetSchema, minBytesPerSecond } from "../worker/budgets/budget.js";

/** A target of a pool. It has the keys of a list of targets (docs/fleet.md), and no password. */
export interface PoolTarget {
  readonly host: pulumi.Input<string>;
  /** Default `host:port`. */
  readonly name?: string | undefined;
  readonly port?: number | undefined;
  /** Default: `user` of the pool. */
  readonly user?: pulumi.Input<string> | undefined;
  /** Default: `auth` of the pool. */
  readonly auth?: TokenAuthentication | undefined;
  readonly sslMode?: SslMode | undefined;
  readonly sslRootCert?: string | undefined;
  /** The database that contains the records. Default postgres. */
  readonly maintenanceDatabase?: string | undefined;
}

/** What all migrations of a pool may use of one server, across all its processes. */
export interface PoolBudget {
  /** Databases that are copied at the same time. */
  readonly copies?: number | undefined;
  /** At least 12. */
  readonly connections?: number | undefined;
  /** Bytes per second of all copies: `100MB`. */
  readonly rate?: string | undefined;
}

/** `pg-migration worker --pool`: runs the migrations of many targets that have `runner: "external"`. */
export interface WorkerPoolArgs {
  /**
   * The targets, or `azure:` with an optional query of Azure Resource Graph. A changed list replaces the pool processes: in
   * Kubernetes one after another. Container Apps starts all new ones before it stops the old ones. Container Instances stop all
   * old ones first.
   *
   * @example
   * const pool = { targets: [{ host: "db1", user: "azureadmin" }, { host: "db2", user: "azureadmin" }] };
   */
  readonly targets: `azure:${string}` | pulumi.Input<readonly PoolTarget[]>;
  /** The role of targets that name none. */
  readonly user?: string | undefined;
  /** The authentication of targets that name none. */
  readonly auth?: TokenAuthentication | undefined;
  /**
   * The passwords of sources and targets in the format of `~/.pgpass`: `host:port:database:user:password`, one in a line. `*`
   * matches every value. Not needed for tokens.
   */
  readonly passfile?: pulumi.Input<string> | undefined;
  /** Migrations of each pool process at the same time. Default 4. */
  readonly maxMigrations?: number | undefined;
  readonly sourceBudget?: PoolBudget | undefined;
  readonly targetBudget?: PoolBudget | undefined;
}

const { copies, connections } = budgetSchema.shape;

const budget = z
  .strictObject({
    copies,
    connections,
    rate: z
      .string()
      .refine(
        (text) => (parseByteSize(text) ?? 0) >= minBytesPerSecond,
        `expected at least ${formatBytes(minBytesPerSecond)}: 50MB`,
      )
      .optional(),
  })
  .default({});

const areTargets = (given: unknown): boolean => {
  if (typeof given === "string") return given.startsWith("azure:");
  // The content of an output is not known yet.
  return Array.isArray(given) ? given.length > 0 : pulumi.Output.isInstance(given) || given instanceof Promise;
};

const noCommand = "a pool cannot run commands, because its image has no shell: give another kind, or passfile";
const haveCommand = (targets: unknown): boolean =>
  Array.isArray(targets) &&
  targets.some((one: { readonly auth?: { readonly kind?: unknown } } | null) => one?.auth?.kind === "command");

export const poolSchema = z.strictObject({
  targets: z
    .unknown()
    .refine(areTargets, "expected a list with at least one target, or azure: with an optional query")
    .refine((given) => !haveCommand(given), noCommand),
  user: z.string().min(1).optional(),
  auth: authenticationSchema.refine(usesToken, noCommand).optional(),
  passfile: z.unknown().optional(),
  maxMigrations: z.int().min(1).optional(),
  sourceBudget: budget,
  targetBudget: budget,
});

export type CheckedPool = z.output<typeof poolSchema>;

/** The options of the command `worker`. */
export function poolArguments(pool: CheckedPool, targets: string): string[] {
  const { user, auth, maxMigrations, sourceBudget, targetBudget } = pool;
  const options: Readonly<Record<string, string | number | undefined>> = {
    "--targets": targets,
    "--user": user,
    "--auth": auth && JSON.stringify(auth),
    "--max-migrations": maxMigrations,
    "--source-copies": sourceBudget.copies,
    "--source-connections": sourceBudget.connections,
    "--source-rate": sourceBudget.rate,
    "--target-copies": targetBudget.copies,
    "--target-connections": targetBudget.connections,
    "--target-rate": targetBudget.rate,
  };
  return [
    "--pool",
    ...Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [name, String(value)])),
  ];
}
