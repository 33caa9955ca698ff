import { Option, type Command } from "commander";
import { InvalidInputError } from "../../errors.js";
import { type CutoverWindow, cutoverWindowSchema } from "../../inputs/cutover-window.js";
import { isPattern } from "../../inputs/database-patterns.js";
import { inputsSchema, type MigrationSpec } from "../../inputs/inputs.js";
import type { MigrationChange } from "../../resource/changes/migration-change.js";
import { choice } from "./choice.js";
import { addDatabasesOption, selectedDatabases } from "./migration-inputs.js";
import { resolveSource, type SourceFlags } from "./server-options.js";

/** Flags that change inputs of a recorded migration. */
export interface ChangeFlags extends SourceFlags {
  /** `true` for all databases. */
  readonly cutover?: true | readonly string[];
  readonly cancel?: true | readonly string[];
  readonly verifyNow?: boolean;
  readonly rollback?: MigrationSpec["rollback"];
  readonly setupReplication?: boolean;
  readonly databases?: readonly string[];
  readonly overwrite?: boolean;
  readonly start?: boolean;
  readonly windowStart?: string;
  readonly windowEnd?: string;
  readonly cutoverWindow?: string;
  readonly maxCopyRate?: string;
  readonly applySessions?: string;
  readonly maxReplicaLag?: string;
  readonly schemaChanges?: MigrationSpec["schemaChanges"];
}

export function addChangeOptions(command: Command): Command {
  command
    .optionsGroup("While databases are replicated:")
    .addOption(
      new Option("--cutover [database...]", "cut over all databases, or these").conflicts([
        "cancel",
        "setupReplication",
      ]),
    )
    .addOption(
      new Option("--cancel [database...]", "cancel all or these; copied data stays").conflicts("setupReplication"),
    )
    .addOption(new Option("--verify-now", "compare all rows while writes continue").conflicts("cutover"))
    .addOption(choice("--schema-changes <how>", "who applies schema changes of the source", ["carry", "pause"]))
    .option("--cutover-window <start/end>", "when cutovers may start, with a zone; or none")
    .addOption(choice("--rollback <decision>", "replication back to the source", ["keep", "return", "drop"]))
    .option("--apply-sessions <number>", "sessions that apply a backlog; or default")
    .optionsGroup("While the migration waits before its start:")
    .option("--setup-replication", "configure the source for logical replication")
    .option("--overwrite", "replace existing databases on the target")
    .option("--start", "start to copy")
    .option("--window-start <time>", "start of the migration window, in UTC")
    .option("--window-end <time>", "end of the migration window, in UTC")
    .optionsGroup("While rows are copied:")
    .option("--max-copy-rate <rate>", "bytes per second to read, such as 50MB; or none")
    .option("--max-replica-lag <time>", "slow down beyond this lag, such as 30s; or none");
  return addDatabasesOption(command);
}

/** The change that the flags request, under the names of the inputs. Reads the source only for patterns. */
export async function changeOf(flags: ChangeFlags, { source }: MigrationSpec): Promise<MigrationChange> {
  const { cutover, cancel, rollback, windowStart, windowEnd } = flags;
  return {
    ...(cutover && { triggerCutover: true, dbsToTriggerCutoverOn: cutover === true ? [] : [...cutover] }),
    ...(cancel && { cancel: true, dbsToCancelMigrationOn: cancel === true ? [] : [...cancel] }),
    ...(flags.verifyNow && { verifyNow: `command ${new Date().toISOString()}` }),
    ...(rollback && { rollback }),
    ...(flags.setupReplication && { setupLogicalReplicationOnSourceDbIfNeeded: true }),
    ...(flags.overwrite && { overwriteDbsInTarget: true }),
    ...(flags.start && { startDataMigration: true }),
    ...(windowStart && { migrationWindowStartTimeInUtc: windowStart }),
    ...(windowEnd && { migrationWindowEndTimeInUtc: windowEnd }),
    ...(flags.cutoverWindow !== undefined && { cutoverWindow: windowOf(flags.cutoverWindow) }),
    ...(flags.maxCopyRate !== undefined && { maxCopyRate: limitOf("maxCopyRate", flags.maxCopyRate) }),
    ...(flags.maxReplicaLag !== undefined && { maxReplicaLag: limitOf("maxReplicaLag", flags.maxReplicaLag) }),
    ...(flags.applySessions !== undefined && { applySessions: limitOf("applySessions", flags.applySessions) }),
    ...(flags.schemaChanges && { schemaChanges: flags.schemaChanges }),
    ...(flags.databases && (await databasesChange(flags.databases, flags, source))),
  };
}

/** `2030-02-01T02:00/2030-02-01T05:00 Europe/Berlin`. @throws InvalidInputError */
function windowOf(text: string): CutoverWindow | undefined {
  if (text === "none") return undefined;
  const [times = "", timeZone] = text.split(" ");
  const [start, end] = times.split("/");
  const { data, error } = cutoverWindowSchema.safeParse({
    start,
    end,
    ...(timeZone === undefined ? {} : { timeZone }),
  });
  if (data) return data;
  throw new InvalidInputError(
    error.issues.map(({ path, message }) => ({ property: ["cutoverWindow", ...path].join("."), reason: message })),
  );
}

/** Bytes per second, seconds, or a number. @throws InvalidInputError */
function limitOf(property: "maxCopyRate" | "maxReplicaLag" | "applySessions", text: string): number | undefined {
  if (text === (property === "applySessions" ? "default" : "none")) return undefined;
  const isNumber = property === "applySessions" && /^\d+$/.test(text);
  const { data, error } = inputsSchema.shape[property].safeParse(isNumber ? Number(text) : text);
  if (!error) return data;
  throw new InvalidInputError(error.issues.map(({ message }) => ({ property, reason: message })));
}

async function databasesChange(
  list: readonly string[],
  flags: SourceFlags,
  recorded: MigrationSpec["source"],
): Promise<MigrationChange> {
  if (!list.some(isPattern)) return { dbsToMigrate: [...list], dbsToMigratePatterns: [] };
  const names = await selectedDatabases(await resolveSource(flags, recorded), list);
  return { dbsToMigrate: [...names], dbsToMigratePatterns: [...list] };
}
