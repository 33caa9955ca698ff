import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { cutoverWindowSchema } from "../../inputs/cutover-window.js";
import { inputsSchema } from "../../inputs/inputs.js";
import { type CutoverWindowArgs, type Duration, PgMigration, type PgMigrationArgs } from "../pg-migration.js";
import { checkFleet, type CompleteMember } from "./check-fleet.js";
import { readFleetFile, type FleetList } from "./fleet-file.js";
import type { FleetMember } from "./fleet-member.js";
import { type FleetSummary, inWords, type KnownStatus, summarizeFleet } from "./fleet-summary.js";
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
  /**
   * Cutovers of online members start only in this window. `pulumi up` does not wait for a window that is ahead: the workers cut
   * over without it. A member that misses the window keeps replicating, and counts as failed.
   *
   * @example
   * ```ts
   * const cutoverWindow = { start: "2030-02-01T02:00", end: "2030-02-01T05:00", timeZone: "Europe/Berlin" };
   * const waves = { 2: { cutover: { maxLag: "5s" }, cutoverWindow } };
   * ```
   */
  readonly cutoverWindow?: pulumi.Unwrap<CutoverWindowArgs> | undefined;
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
    refuseUnusable(name, { concurrency, waves });
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
    const leftOut = [...list.problems, ...wrong];
    if (leftOut.length > 0)
      void pulumi.log.warn(`${leftOut.length} members are left out:\n${leftOut.join("\n")}`, this);
    const withoutMembers = emptyWaves(waves, complete);
    if (withoutMembers.length > 0) void pulumi.log.warn(withoutMembers.join("\n"), this);
    const problems = [...leftOut, ...withoutMembers];
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

/** What all members have in common. A wrong member is only left out. */
const commonSchema = z.object({
  concurrency: z.int("give a whole number of at least 1").min(1, "give a whole number of at least 1"),
  waves: z.record(
    z.string().regex(/^[1-9]\d*$/),
    z.strictObject({
      windowStart: inputsSchema.shape.migrationWindowStartTimeInUtc,
      windowEnd: inputsSchema.shape.migrationWindowEndTimeInUtc,
      cutover: z
        .union([z.boolean(), z.strictObject({ maxLag: inputsSchema.shape.maxCutoverLag.unwrap() })], {
          error: 'give true, false, or a largest lag such as { maxLag: "5s" }',
        })
        .optional(),
      cutoverWindow: cutoverWindowSchema.optional(),
    }),
    {
      error: ({ code }) =>
        code === "invalid_key" ? "the number of a wave is a whole number of at least 1" : undefined,
    },
  ),
});

function refuseUnusable(name: string, given: Pick<PgFleetMigrationArgs, "concurrency" | "waves">): void {
  const { error } = commonSchema.safeParse(given);
  if (!error) return;
  const failures = error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new pulumi.RunError(`${name}: ${failures.join("; ")}`);
}

/** Settings of a wave without members have no effect, for example because its number is wrong. */
function emptyWaves(waves: Readonly<Record<number, FleetWave>>, members: readonly CompleteMember[]): string[] {
  const used = new Set(members.map(({ wave }) => wave));
  const known = [...used].sort((one, other) => one - other).join(", ");
  return Object.keys(waves)
    .filter((wave) => !used.has(Number(wave)))
    .map((wave) => `waves.${wave}: no member has this wave, so its settings have no effect; members have: ${known}`);
}

function listMembers(migrations: PgFleetMigrationArgs["migrations"], listed: "source" | "target"): FleetList {
  if (typeof migrations === "string") return readFleetFile(migrations, listed);
  return { members: migrations.map((member, index) => ({ place: `migrations[${index}]`, member })), problems: [] };
}

/** The windows of the member's wave, and the cutover of online members once the wave is released. */
function waveArgs(
  { windowStart, windowEnd, cutover, cutoverWindow }: FleetWave,
  args: PgMigrationArgs,
): PgMigrationArgs {
  const isOnline = args.migrationMode === "Online";
  return {
    ...(windowStart === undefined ? {} : { migrationWindowStartTimeInUtc: windowStart }),
    ...(windowEnd === undefined ? {} : { migrationWindowEndTimeInUtc: windowEnd }),
    ...(cutover && isOnline ? cutoverArgs(cutover) : {}),
    ...(cutoverWindow && isOnline ? { cutoverWindow } : {}),
  };
}

const cutoverArgs = (cutover: true | { readonly maxLag: Duration }): PgMigrationArgs =>
  cutover === true
    ? { triggerCutover: true }
    : { triggerCutover: true, maxCutoverLag: cutover.maxLag, verifyBeforeCutover: true };

/** With `onFailure: "fail"`, the outputs of a failed resource are rejected. The summary then still includes the other members. */
function statusOrFailure({ currentStatus, failure }: PgMigration): pulumi.Output<KnownStatus> {
  const known = pulumi
    .all([currentStatus, failure])
    .apply(([status, reason]): KnownStatus => ({ status, failure: reason }));
  // An SDK without `recover` does not support this.
  if (!("recover" in pulumi)) return known;
  return pulumi.recover<KnownStatus>(known, (error: unknown) => ({
    failure: error instanceof Error ? error.message : String(error),
  }));
}
