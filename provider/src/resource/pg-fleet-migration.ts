import * as pulumi from "@pulumi/pulumi";
import { PgMigration, type PgMigrationArgs, type ServerArgs } from "./pg-migration.js";
import type { MigrationState } from "../status.js";

/** One migration of a fleet, with its own inputs. */
export interface FleetMember extends PgMigrationArgs {
  /** Name of the resource. It is also the migration's unless `migrationName` is set. */
  readonly name: string;
}

export interface PgFleetMigrationArgs {
  /** The migrations in the order of their start. Names must differ. */
  readonly migrations: readonly FleetMember[];
  /**
   * Inputs common to all members. A member's own properties have priority; its `source` and `target` are merged with
   * these.
   */
  readonly defaults?: PgMigrationArgs | undefined;
  /** How many are created, updated or cut over at the same time. Default 4. */
  readonly concurrency?: number | undefined;
}

/** The progress of a fleet. */
export interface FleetSummary {
  readonly total: number;
  readonly succeeded: number;
  /** Waiting for a cutover, or for another confirmation. */
  readonly waiting: number;
  /** Failed, canceled, or not created. */
  readonly failed: number;
  readonly bytesCopied: number;
  readonly rowsCopied: number;
  readonly migrations: readonly {
    readonly name: string;
    /** `NotCreated` if Pulumi has no outputs of it: its creation failed, or was skipped after a failure. */
    readonly state: MigrationState | "NotCreated";
    readonly databases: readonly string[];
    readonly percent: number;
    readonly error?: string;
  }[];
}

/**
 * Migrates many servers and databases from one list, a limited number at a time. The migrations form `concurrency` queues.
 * Pulumi stops at the first failure. With `pulumi up --continue-on-error` a failure stops only its own queue. The next `up`
 * continues with the rest.
 *
 * @example
 * ```ts
 * new PgFleetMigration("shops", {
 *   defaults: { source: { user: "migrator", password }, target, migrationMode: "Online" },
 *   migrations: [
 *     { name: "berlin", source: { host: "db-berlin" }, dbsToMigrate: ["shop"] },
 *     { name: "paris", source: { host: "db-paris" }, dbsToMigrate: ["shop"] },
 *   ],
 * });
 * ```
 */
export class PgFleetMigration extends pulumi.ComponentResource {
  readonly migrations: Readonly<Record<string, PgMigration>>;
  readonly summary: pulumi.Output<FleetSummary>;

  /**
   * @param name the component's name
   * @param args its migrations and their common inputs
   */
  constructor(name: string, args: PgFleetMigrationArgs, opts?: pulumi.ComponentResourceOptions) {
    super("pg-migration:index:PgFleetMigration", name, {}, opts);
    const { migrations, defaults = {}, concurrency = 4 } = args;
    refuseUnusable(name, migrations, concurrency);
    const members: PgMigration[] = [];
    for (const { name: member, ...own } of migrations) {
      const before = members[members.length - concurrency];
      const migration = new PgMigration(member, mergeArgs(defaults, own), {
        parent: this,
        ...(before ? { dependsOn: before } : {}),
      });
      members.push(migration);
    }
    this.migrations = Object.fromEntries(members.map((migration, index) => [migrations[index]!.name, migration]));
    this.summary = pulumi
      .all(members.map(statusOrFailure))
      .apply((statuses) =>
        summarizeFleet(migrations.map((member, index) => ({ name: member.name, status: statuses[index] }))),
      );
    this.registerOutputs({ summary: this.summary });
  }
}

function refuseUnusable(name: string, migrations: readonly FleetMember[], concurrency: number): void {
  if (!Number.isInteger(concurrency) || concurrency < 1)
    throw new pulumi.RunError(`${name}: concurrency is ${concurrency}; give a whole number of at least 1`);
  const names = migrations.map((member) => member.name);
  const twice = names.find((member, index) => names.indexOf(member) !== index);
  if (twice !== undefined)
    throw new pulumi.RunError(`${name}: two of its migrations are named ${twice}; give them different names`);
}

/** Combines a member's arguments with the defaults: servers and credentials key by key, others as a whole. */
function mergeArgs(defaults: PgMigrationArgs, own: PgMigrationArgs): PgMigrationArgs {
  const secrets = {
    ...defaults.secretParameters,
    ...own.secretParameters,
    adminCredentials: {
      ...defaults.secretParameters?.adminCredentials,
      ...own.secretParameters?.adminCredentials,
    },
  };
  return {
    ...defaults,
    ...own,
    source: mergeServer(defaults.source, own.source),
    target: mergeServer(defaults.target, own.target),
    secretParameters:
      defaults.secretParameters && own.secretParameters ? secrets : (own.secretParameters ?? defaults.secretParameters),
  };
}

type ServerInput = PgMigrationArgs["source"];

function mergeServer(shared: ServerInput, own: ServerInput): ServerInput {
  if (shared === undefined || own === undefined) return own ?? shared;
  if (isPlain(shared) && isPlain(own)) return mergeKeys(shared, own);
  return pulumi.all([shared, own]).apply(([common, one]) => mergeKeys(common, one));
}

/** A password or `auth` of the member replaces both of the defaults. */
function mergeKeys<Server extends ServerArgs | pulumi.Unwrap<ServerArgs>>(common: Server, own: Server): Server {
  const { password: _password, auth: _auth, ...rest } = common;
  const hasOwnPassword = own.password !== undefined || own.auth !== undefined;
  return { ...(hasOwnPassword ? rest : common), ...own };
}

const isPlain = (server: NonNullable<ServerInput>): server is ServerArgs =>
  !pulumi.Output.isInstance(server) && !(server instanceof Promise);

type Status = pulumi.Unwrap<PgMigration["currentStatus"]>;

/** The outputs of a failed resource are rejected. The summary then still includes the other members. */
function statusOrFailure({
  currentStatus,
}: PgMigration): pulumi.Output<Status | { readonly failure: string } | undefined> {
  // An SDK without `recover` does not support this.
  if (!("recover" in pulumi)) return currentStatus;
  return pulumi.recover<Status | { readonly failure: string }>(currentStatus, (error: unknown) => ({
    failure: error instanceof Error ? error.message : String(error),
  }));
}

type Member = FleetSummary["migrations"][number];

/** A member's status; absent if Pulumi has none, for example after a skipped creation. */
export interface MemberStatus {
  readonly name: string;
  readonly status: Status | { readonly failure: string } | null | undefined;
}

/** @hidden */
export function summarizeFleet(members: readonly MemberStatus[]): FleetSummary {
  const databases = members.flatMap(({ status }) =>
    status && "currentSubStateDetails" in status ? Object.values(status.currentSubStateDetails.dbDetails) : [],
  );
  const migrations = members.map(({ name, status }): Member => {
    if (!status || "failure" in status)
      return { name, state: "NotCreated", databases: [], percent: 0, ...(status ? { error: status.failure } : {}) };
    return {
      name,
      state: status.state,
      databases: Object.keys(status.currentSubStateDetails.dbDetails),
      percent: status.percent,
      ...(status.error === undefined ? {} : { error: status.error }),
    };
  });
  const count = (...states: readonly Member["state"][]): number =>
    migrations.filter(({ state }) => states.includes(state)).length;
  return {
    total: migrations.length,
    succeeded: count("Succeeded"),
    waiting: count("WaitingForUserAction"),
    failed: count("Failed", "ValidationFailed", "Canceled", "NotCreated"),
    bytesCopied: databases.reduce((sum, { bytesCopied }) => sum + bytesCopied, 0),
    rowsCopied: databases.reduce((sum, { rowsCopied }) => sum + rowsCopied, 0),
    migrations,
  };
}
