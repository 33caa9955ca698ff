import * as pulumi from "@pulumi/pulumi";
import { PgMigration, type PgMigrationArgs } from "./resource/pg-migration.js";
import type { MigrationState } from "./status.js";

/** One migration of a fleet: what it has of its own. */
export interface FleetMember extends PgMigrationArgs {
  /** Names the resource, and the migration unless `migrationName` does. */
  readonly name: string;
}

export interface PgFleetMigrationArgs {
  /** Servers and databases, in the order in which they are to begin. Names must differ. */
  readonly migrations: readonly FleetMember[];
  /** What all have in common; a member's own properties win. */
  readonly defaults?: PgMigrationArgs | undefined;
  /** How many are created, updated or cut over at the same time. Default 4. */
  readonly concurrency?: number | undefined;
}

/** How a fleet stands. */
export interface FleetSummary {
  readonly total: number;
  readonly succeeded: number;
  /** Waiting for a cutover, or for another confirmation. */
  readonly waiting: number;
  readonly failed: number;
  readonly bytesCopied: number;
  readonly rowsCopied: number;
  readonly migrations: readonly {
    readonly name: string;
    readonly state: MigrationState;
    readonly databases: readonly string[];
    readonly percent: number;
    readonly error?: string;
  }[];
}

/**
 * Migrates many servers and databases from one list, a limited number at a time. The migrations form as many queues as
 * `concurrency` says; one that fails ends its queue, and the next `up` goes on there.
 */
export class PgFleetMigration extends pulumi.ComponentResource {
  readonly migrations: Readonly<Record<string, PgMigration>>;
  readonly summary: pulumi.Output<FleetSummary>;

  /**
   * @param name the component's name
   * @param args its migrations, and what they have in common
   */
  constructor(name: string, args: PgFleetMigrationArgs, opts?: pulumi.ComponentResourceOptions) {
    super("pg-migration:index:PgFleetMigration", name, {}, opts);
    const { migrations, defaults = {}, concurrency = 4 } = args;
    refuseUnusable(name, migrations, concurrency);
    const members: PgMigration[] = [];
    for (const { name: member, ...own } of migrations) {
      const before = members[members.length - concurrency];
      const migration = new PgMigration(
        member,
        { ...defaults, ...own },
        { parent: this, ...(before ? { dependsOn: before } : {}) },
      );
      members.push(migration);
    }
    this.migrations = Object.fromEntries(members.map((migration, index) => [migrations[index]!.name, migration]));
    this.summary = pulumi
      .all(members.map(({ currentStatus }) => currentStatus))
      .apply((statuses) =>
        summarize(migrations.map((member, index) => ({ name: member.name, status: statuses[index]! }))),
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
    throw new pulumi.RunError(`${name}: two of its migrations are named ${twice}; give each a name of its own`);
}

type Member = FleetSummary["migrations"][number];

function summarize(
  members: readonly { name: string; status: pulumi.Unwrap<PgMigration["currentStatus"]> }[],
): FleetSummary {
  const databases = members.flatMap(({ status }) => Object.values(status.currentSubStateDetails.dbDetails));
  const migrations = members.map(({ name, status }): Member => ({
    name,
    state: status.state,
    databases: Object.keys(status.currentSubStateDetails.dbDetails),
    percent: status.percent,
    ...(status.error === undefined ? {} : { error: status.error }),
  }));
  const count = (...states: readonly MigrationState[]): number =>
    migrations.filter(({ state }) => states.includes(state)).length;
  return {
    total: migrations.length,
    succeeded: count("Succeeded"),
    waiting: count("WaitingForUserAction"),
    failed: count("Failed", "ValidationFailed", "Canceled"),
    bytesCopied: databases.reduce((sum, { bytesCopied }) => sum + bytesCopied, 0),
    rowsCopied: databases.reduce((sum, { rowsCopied }) => sum + rowsCopied, 0),
    migrations,
  };
}
