import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { authenticationSchema } from "../inputs/authentication.js";
import type { Authentication } from "../postgres/authentication/authentication.js";
import type { SslMode } from "../postgres/connection/endpoint.js";
import { formatBytes, parseByteSize } from "../units/byte-size.js";
import { budgetSchema } from "../worker/budgets/budget.js";

/** A target of a pool. It has the keys of a list of targets (docs/fleet.md), and no password. */
export interface PoolTarget {
  readonly host: pulumi.Input<string>;
  /** Default `host:port`. */
  readonly name?: string | undefined;
  readonly port?: number | undefined;
  /** Default: `user` of the pool. */
  readonly user?: pulumi.Input<string> | undefined;
  /** Default: `auth` of the pool. */
  readonly auth?: Authentication | undefined;
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
   * The targets, or `azure:` with an optional query of Azure Resource Graph. A changed list replaces the pool processes one after
   * another.
   *
   * @example
   * const pool = { targets: [{ host: "db1", user: "azureadmin" }, { host: "db2", user: "azureadmin" }] };
   */
  readonly targets: `azure:${string}` | pulumi.Input<readonly PoolTarget[]>;
  /** The role of targets that name none. */
  readonly user?: string | undefined;
  /** The authentication of targets that name none. */
  readonly auth?: Authentication | undefined;
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

const { copies, connections, bytesPerSecond } = budgetSchema.shape;
const leastRate = bytesPerSecond.unwrap().minValue ?? 1;

const budget = z
  .strictObject({
    copies,
    connections,
    rate: z
      .string()
      .refine((text) => (parseByteSize(text) ?? 0) >= leastRate, `expected at least ${formatBytes(leastRate)}: 50MB`)
      .optional(),
  })
  .default({});

/** Outputs are not known yet. */
const areTargets = (given: unknown): boolean => {
  if (typeof given === "string") return given.startsWith("azure:");
  return Array.isArray(given) ? given.length > 0 : typeof given === "object" && given !== null;
};

export const poolSchema = z.strictObject({
  targets: z.unknown().refine(areTargets, "expected a list with at least one target, or azure: with an optional query"),
  user: z.string().min(1).optional(),
  auth: authenticationSchema.optional(),
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
