import * as pulumi from "@pulumi/pulumi";
import { problemsOf } from "../../display/findings-table.js";
import type { MigrationState } from "../../status.js";
import { PgMigration, type PgMigrationArgs } from "../pg-migration.js";
import { checkFleet, type CompleteMember } from "./check-fleet.js";
import { readFleetFile, type FleetList } from "./fleet-file.js";
import type { FleetMember } from "./fleet-member.js";
import { mergeArgs } from "./merge-args.js";

/** What the members of one wave have in common. Their own inputs have priority. */
export interface FleetWave {
  /** The copies do not start before this time: `2030-01-31T22:00:00Z`. */
  readonly windowStart?: string | undefined;
  /** The copies do not start after this time. */
  readonly windowEnd?: string | undefined;
  /** Cuts all online members of the wave over. */
  readonly cutover?: boolean | undefined;
}

export interface PgFleetMigrationArgs {
  /**
   * The migrations in the order of their start, or a file with them: CSV, YAML or JSON with the keys of a member, the output of
   * `az postgres server list`, `az postgres flexible-server list -o json` or `aws rds describe-db-instances`. A member that is
   * invalid, or has the name or a target database of an earlier one, is reported and left out.
   */
  readonly migrations: readonly FleetMember[] | string;
  /** What the servers in the output of az or aws are. Default source. */
  readonly listed?: "source" | "target" | undefined;
  /** Inputs common to all members, merged with their own at every depth. A member's own values have priority. */
  readonly defaults?: PgMigrationArgs | undefined;
  /** Windows and cutover by the number of a wave. */
  readonly waves?: Readonly<Record<number, FleetWave>> | undefined;
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
  /** Members that are left out, and why. */
  readonly problems: readonly string[];
  readonly bytesCopied: number;
  readonly rowsCopied: number;
  /** In the order of their start. */
  readonly migrations: readonly {
    readonly name: string;
    readonly wave: number;
    /** Size of all databases; 0 before it is measured. */
    readonly bytesTotal: number;
    /** Findings of the validation. */
    readonly failures: number;
    readonly warnings: number;
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
    const { migrations, listed = "source", defaults = {}, waves = {}, concurrency = 4 } = args;
    refuseUnusable(name, concurrency);
    const list = listMembers(migrations, listed);
    const complete = list.members.map(({ place, member: { name: member, wave = 1, ...own } }): CompleteMember => {
      const merged = mergeArgs(defaults, own);
      return { name: member, place, wave, args: { ...waveArgs(waves[wave] ?? {}, merged), ...merged } };
    });
    const { members, problems: wrong } = checkFleet(complete);
    const problems = [...list.problems, ...wrong];
    if (problems.length > 0)
      void pulumi.log.warn(`${problems.length} members are left out:\n${problems.join("\n")}`, this);
    const declared = this.#declare(members, concurrency);
    this.migrations = Object.fromEntries(declared.map((migration, index) => [members[index]!.name, migration]));
    this.summary = pulumi.all(declared.map(statusOrFailure)).apply((statuses) => ({
      ...summarizeFleet(
        members.map(({ name: member, wave }, index) => ({ name: member, wave, status: statuses[index] })),
      ),
      problems,
    }));
    this.registerOutputs({ summary: this.summary });
  }

  /** Each member waits for an earlier one of its wave. The first members of a wave wait for the whole former wave. */
  #declare(members: readonly CompleteMember[], concurrency: number): PgMigration[] {
    const declared: PgMigration[] = [];
    for (const { name, wave, args } of members) {
      const index = declared.length;
      const before = index - concurrency;
      const former = declared.filter((_, i) => members[i]!.wave < wave);
      const isSameWave = before >= 0 && members[before]!.wave === wave;
      const dependsOn = isSameWave ? [declared[before]!] : former;
      declared.push(new PgMigration(name, args, { parent: this, ...(dependsOn.length > 0 ? { dependsOn } : {}) }));
    }
    return declared;
  }
}

function refuseUnusable(name: string, concurrency: number): void {
  if (!Number.isInteger(concurrency) || concurrency < 1)
    throw new pulumi.RunError(`${name}: concurrency is ${concurrency}; give a whole number of at least 1`);
}

function listMembers(migrations: PgFleetMigrationArgs["migrations"], listed: "source" | "target"): FleetList {
  if (typeof migrations === "string") return readFleetFile(migrations, listed);
  return { members: migrations.map((member, index) => ({ place: `migrations[${index}]`, member })), problems: [] };
}

/** The window of the member's wave, and the cutover of online members once the wave is released. */
function waveArgs({ windowStart, windowEnd, cutover }: FleetWave, args: PgMigrationArgs): PgMigrationArgs {
  return {
    ...(windowStart === undefined ? {} : { migrationWindowStartTimeInUtc: windowStart }),
    ...(windowEnd === undefined ? {} : { migrationWindowEndTimeInUtc: windowEnd }),
    ...(cutover && args.migrationMode === "Online" ? { triggerCutover: true } : {}),
  };
}

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
  readonly wave: number;
  readonly status: Status | { readonly failure: string } | null | undefined;
}

/** @hidden */
export function summarizeFleet(members: readonly MemberStatus[]): Omit<FleetSummary, "problems"> {
  const databases = members.flatMap(({ status }) =>
    status && "currentSubStateDetails" in status ? Object.values(status.currentSubStateDetails.dbDetails) : [],
  );
  const migrations = members.map(({ name, wave, status }): Member => {
    if (!status || "failure" in status) {
      const nothing = { bytesTotal: 0, failures: 0, warnings: 0, databases: [], percent: 0 };
      return { name, wave, state: "NotCreated", ...nothing, ...(status ? { error: status.failure } : {}) };
    }
    const findings = problemsOf(status);
    return {
      name,
      wave,
      bytesTotal: Object.values(status.currentSubStateDetails.dbDetails).reduce((sum, one) => sum + one.bytesTotal, 0),
      failures: findings.filter(({ state }) => state === "Failed").length,
      warnings: findings.filter(({ state }) => state === "Warning").length,
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
