import * as pulumi from "@pulumi/pulumi";
import { problemsOf } from "../../display/findings-table.js";
import { formatBytes } from "../../units/byte-size.js";
import { formatDuration } from "../../units/duration.js";
import { failedDatabases, type MigrationState } from "../../status.js";
import { copySeconds, defaultCopyRate } from "../summary/migration-summary.js";
import { type Duration, PgMigration, type PgMigrationArgs } from "../pg-migration.js";
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
  /**
   * Cuts over all online members of the wave. `true` does this at once. With `maxLag`, each member waits until its lag is small
   * enough and a comparison during the replication finds no difference (its `maxCutoverLag` and `verifyBeforeCutover`).
   *
   * @example
   * ```ts
   * const waves = { 1: { cutover: true }, 2: { cutover: { maxLag: "5s" } } };
   * ```
   */
  readonly cutover?: boolean | { readonly maxLag: Duration } | undefined;
}

export interface PgFleetMigrationArgs {
  /**
   * The migrations in the order of their start, or a file with them: CSV, YAML or JSON with the keys of a member. The file may
   * also be the output of `az postgres server list`, `az postgres flexible-server list -o json` or `aws rds
   * describe-db-instances`. A member that is invalid, or has the name or a target database of an earlier one, is reported and
   * left out.
   */
  readonly migrations: readonly FleetMember[] | string;
  /**
   * What the servers in the output of az or aws are. Default source.
   *
   * @example
   * ```ts
   * new PgFleetMigration("shops", { migrations: "flexible-servers.json", listed: "target", defaults });
   * ```
   */
  readonly listed?: "source" | "target" | undefined;
  /**
   * Inputs common to all members, merged with their own at every depth. A member's own values have priority. The default of
   * `onFailure` is `report` here: a failed member stops no other one.
   *
   * @example
   * ```ts
   * const defaults = { source: { user: "migrator", password }, target, migrationMode: "Online", retries: 2 };
   * ```
   */
  readonly defaults?: PgMigrationArgs | undefined;
  /**
   * Windows and cutover by the number of a wave.
   *
   * @example
   * ```ts
   * const waves = { 2: { windowStart: "2030-01-31T22:00:00Z", windowEnd: "2030-02-01T04:00:00Z", cutover: true } };
   * ```
   */
  readonly waves?: Readonly<Record<number, FleetWave>> | undefined;
  /**
   * How many are created, updated or cut over at the same time. Default 4.
   *
   * @example
   * ```ts
   * new PgFleetMigration("shops", { migrations: "shops.csv", defaults: { runner: "external" }, concurrency: 200 });
   * ```
   */
  readonly concurrency?: number | undefined;
}

/** The progress of a fleet. */
export interface FleetSummary {
  readonly total: number;
  readonly succeeded: number;
  /** Waiting for a cutover, or for another confirmation. */
  readonly waiting: number;
  /** Members whose last operation, or a database, failed. They count in no other number. */
  readonly failed: number;
  readonly canceled: number;
  /** Members that are left out, and why. */
  readonly problems: readonly string[];
  readonly bytesCopied: number;
  readonly rowsCopied: number;
  /** Size of all members that are measured. */
  readonly bytesTotal: number;
  /**
   * Estimated seconds until all rows are copied: `concurrency` members at a time, wave by wave, at the current rate of each
   * member, or at 50 MB/s before it has one.
   */
  readonly secondsLeft: number;
  /** In the order of their start. */
  readonly migrations: readonly {
    readonly name: string;
    readonly wave: number;
    /** Size of all databases; 0 before it is measured. */
    readonly bytesTotal: number;
    /** Findings of the validation. */
    readonly failures: number;
    readonly warnings: number;
    /** Estimated seconds until its rows are copied. */
    readonly secondsLeft: number;
    /** `NotCreated` if nothing is recorded: its creation failed, for example because the target did not answer. */
    readonly state: MigrationState | "NotCreated";
    readonly databases: readonly string[];
    readonly percent: number;
    /** Whether the last operation, or a database, failed. */
    readonly hasFailed: boolean;
    readonly error?: string;
  }[];
}

/**
 * Migrates many servers and databases from one list, a limited number at a time. The migrations form `concurrency` queues. A
 * failed member does not stop the others. `pulumi up` then ends with an error that names all failed members, and the next `up`
 * attempts them again.
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
      return {
        name: member,
        place,
        wave,
        args: { onFailure: "report", ...waveArgs(waves[wave] ?? {}, merged), ...merged },
      };
    });
    const { members, problems: wrong } = checkFleet(complete);
    const problems = [...list.problems, ...wrong];
    if (problems.length > 0)
      void pulumi.log.warn(`${problems.length} members are left out:\n${problems.join("\n")}`, this);
    const declared = this.#declare(members, concurrency);
    this.migrations = Object.fromEntries(declared.map((migration, index) => [members[index]!.name, migration]));
    this.summary = pulumi.all(declared.map(statusOrFailure)).apply((statuses) => ({
      ...summarizeFleet(
        members.map(({ name: member, wave }, index) => ({ name: member, wave, ...statuses[index] })),
        concurrency,
      ),
      problems,
    }));
    this.#report(name);
    this.registerOutputs({ summary: this.summary });
  }

  /** After all members, so that the error stops none of them and loses no output. */
  #report(name: string): void {
    this.summary.apply((summary) => {
      if (pulumi.runtime.isDryRun()) return;
      void pulumi.log.info(inWords(summary), this);
      const failed = summary.migrations.filter(({ hasFailed }) => hasFailed);
      if (failed.length === 0) return;
      // The row of each member shows the rest of its text.
      const reasons = failed.map(({ name: member, state, error = state }) => `  ${member}: ${error.split("\n")[0]}`);
      const error = new pulumi.RunError(
        `${name}: ${failed.length} of ${summary.total} migrations failed; pulumi up attempts them again\n${reasons.join("\n")}`,
      );
      // Pulumi prints the stack if there is one.
      error.stack = "";
      throw error;
    });
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
    ...(cutover && args.migrationMode === "Online" ? cutoverArgs(cutover) : {}),
  };
}

const cutoverArgs = (cutover: true | { readonly maxLag: Duration }): PgMigrationArgs =>
  cutover === true
    ? { triggerCutover: true }
    : { triggerCutover: true, maxCutoverLag: cutover.maxLag, verifyBeforeCutover: true };

type Status = pulumi.Unwrap<PgMigration["currentStatus"]>;

/** What is known of a member: its status, absent if nothing is recorded, and why the last operation failed. */
interface Known {
  readonly status?: Status | null | undefined;
  readonly failure?: string | null | undefined;
}

/** With `onFailure: "fail"`, the outputs of a failed resource are rejected. The summary then still includes the other members. */
function statusOrFailure({ currentStatus, failure }: PgMigration): pulumi.Output<Known> {
  const known = pulumi.all([currentStatus, failure]).apply(([status, reason]): Known => ({ status, failure: reason }));
  // An SDK without `recover` does not support this.
  if (!("recover" in pulumi)) return known;
  return pulumi.recover<Known>(known, (error: unknown) => ({
    failure: error instanceof Error ? error.message : String(error),
  }));
}

type Member = FleetSummary["migrations"][number];

export interface MemberStatus extends Known {
  readonly name: string;
  readonly wave: number;
}

/** @hidden */
export function summarizeFleet(members: readonly MemberStatus[], concurrency: number): Omit<FleetSummary, "problems"> {
  const databases = members.flatMap(({ status }) =>
    status ? Object.values(status.currentSubStateDetails.dbDetails) : [],
  );
  const migrations = members.map(summarizeMember);
  // The numbers of the states add up to the total: a failed member counts only as failed.
  const count = (counted: Member["state"]): number =>
    migrations.filter(({ state, hasFailed }) => !hasFailed && state === counted).length;
  return {
    total: migrations.length,
    succeeded: count("Succeeded"),
    waiting: count("WaitingForUserAction"),
    failed: migrations.filter(({ hasFailed }) => hasFailed).length,
    canceled: count("Canceled"),
    bytesCopied: databases.reduce((sum, { bytesCopied }) => sum + bytesCopied, 0),
    rowsCopied: databases.reduce((sum, { rowsCopied }) => sum + rowsCopied, 0),
    bytesTotal: migrations.reduce((sum, { bytesTotal }) => sum + bytesTotal, 0),
    secondsLeft: secondsLeft(migrations, concurrency),
    migrations,
  };
}

function summarizeMember({ name, wave, status, failure }: MemberStatus): Member {
  const error = failure ?? status?.error;
  const reason = error === undefined ? {} : { error };
  if (!status) {
    const nothing = {
      bytesTotal: 0,
      failures: 0,
      warnings: 0,
      secondsLeft: 0,
      databases: [],
      percent: 0,
      hasFailed: true,
    };
    return { name, wave, state: "NotCreated", ...nothing, ...reason };
  }
  const findings = problemsOf(status);
  const databases = Object.values(status.currentSubStateDetails.dbDetails);
  const sum = (key: "bytesTotal" | "bytesCopied"): number => databases.reduce((all, one) => all + one[key], 0);
  const missing = status.percent === 100 ? 0 : Math.max(0, sum("bytesTotal") - sum("bytesCopied"));
  return {
    name,
    wave,
    bytesTotal: sum("bytesTotal"),
    failures: findings.filter(({ state }) => state === "Failed").length,
    warnings: findings.filter(({ state }) => state === "Warning").length,
    secondsLeft: status.secondsLeft ?? copySeconds(missing, defaultCopyRate),
    state: status.state,
    databases: Object.keys(status.currentSubStateDetails.dbDetails),
    percent: status.percent,
    hasFailed:
      typeof failure === "string" ||
      status.state === "ValidationFailed" ||
      failedDatabases(status).length > 0 ||
      status.state === "Failed",
    ...reason,
  };
}

/** The queues of a wave run at the same time, the waves one after another. */
function secondsLeft(migrations: readonly Member[], concurrency: number): number {
  const waves = new Map<number, number[]>();
  for (const { wave, secondsLeft: seconds } of migrations) {
    waves.set(wave, [...(waves.get(wave) ?? []), seconds]);
  }
  const longestQueue = (members: readonly number[]): number => {
    const queues = Array.from({ length: Math.min(concurrency, members.length) }, () => 0);
    for (const [index, seconds] of members.entries()) queues[index % concurrency]! += seconds;
    return Math.max(0, ...queues);
  };
  return [...waves.values()].reduce((sum, members) => sum + longestQueue(members), 0);
}

function inWords({
  total,
  succeeded,
  waiting,
  failed,
  canceled,
  bytesTotal,
  secondsLeft: seconds,
}: Omit<FleetSummary, "problems">): string {
  const parts = [`${succeeded} succeeded`, `${waiting} wait for you`, `${failed} failed`, `${canceled} canceled`];
  return `${total} migrations, ${formatBytes(bytesTotal)}: ${parts.join(", ")}; about ${formatDuration(seconds)} left to copy`;
}
