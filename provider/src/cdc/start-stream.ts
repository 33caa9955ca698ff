import type { Client } from "pg";
import { EngineError } from "../errors.js";
import { serverVersion } from "../postgres/server-version.js";
import { listTables } from "../postgres/tables.js";
import { type BacklogLimits, backlogLimits, canAdvanceCopiedSlots } from "./reader/backlog-limits.js";
import { type BacklogSession, openBacklogSession } from "./reader/backlog-session.js";
import type { Decoder } from "./model/change.js";
import { terminateSlotConsumer } from "./source/drop-slot.js";
import type { FollowSessions } from "./follow-sessions.js";
import type { FollowOptions } from "./follow-options.js";
import { SourceClock } from "./source/lag.js";
import { rolesOf } from "./model/stream-roles.js";
import { PgOutputDecoder } from "./decode/pgoutput.js";
import type { TableCounts } from "./model/change-counts.js";
import { type Progress, readProgress, readTableProgress, takeOverProgress } from "./target/progress.js";
import { type ApplySessionProgress, holdApplySessions } from "./target/apply-session-progress.js";
import { RemainingChanges } from "./division/remaining-changes.js";
import { publishesGenerated } from "./source/publication.js";
import { verifySlotIdentity } from "./source/slot-identity.js";
import { TestDecodingDecoder } from "./decode/test-decoding.js";
import { type ValueForm, valueFormOf } from "./model/value-form.js";

/** Where a stream begins, and the form of its values. */
export interface StreamBegin {
  readonly sessions: FollowSessions;
  readonly progress: Progress;
  readonly tableProgress: TableCounts;
  /** What apply sessions have already applied of the transactions that follow; undefined if they never applied any. */
  readonly remaining: RemainingChanges | undefined;
  readonly clock: SourceClock;
  readonly form: ValueForm;
  readonly decoder: Decoder;
  /** Reads the backlog first; undefined if the backlog is small or cannot be read with SQL. */
  readonly backlog: BacklogSession | undefined;
}

/** Takes over the progress and verifies the slot. */
export async function beginStream(sessions: FollowSessions, options: FollowOptions): Promise<StreamBegin> {
  const { progress, applySessions } = await sessions.watch.during(holdProgress(sessions.target, options));
  const tableProgress = await readTableProgress(sessions.target, options.migration);
  await verifySlotIdentity(sessions.source, sessions.stream, progress, rolesOf(options));
  // The walsender of a worker that died or was just superseded.
  await terminateSlotConsumer(sessions.source, options.slot);
  const version = await serverVersion(sessions.source);
  const clock = new SourceClock(sessions.source, version);
  await clock.ask();
  const { plugin, publications, valueForm } = options;
  const publishesGeneratedColumns = await publishesGenerated(sessions.source, publications);
  const form =
    plugin === "test_decoding" || valueForm === "text"
      ? "text"
      : await valueFormOf(sessions.source, version, publications, publishesGeneratedColumns);
  const decoder =
    plugin === "test_decoding"
      ? new TestDecodingDecoder(await (options.tables ?? listTables)(sessions.source))
      : new PgOutputDecoder(form, publishesGeneratedColumns, await options.targetNames?.(sessions.target));
  const backlog = await openBacklog(
    options,
    sessions.source,
    version,
    Number(clock.walLsn! - progress.appliedThroughLsn),
  );
  const remaining = applySessions && new RemainingChanges(applySessions, form);
  return { sessions, progress, tableProgress, remaining, clock, form, decoder, backlog };
}

/**
 * Waits for a COMMIT of a former connection, which may still wait for a lock or a standby server. Otherwise the stream would begin at a
 * position that this COMMIT changes.
 */
async function holdProgress(
  target: Client,
  { migration, generation, slot, targetDatabase, parts }: FollowOptions,
): Promise<{ readonly progress: Progress; readonly applySessions: ApplySessionProgress | undefined }> {
  if (!(await readProgress(target, migration)))
    throw new EngineError(
      `pgmigration.progress of ${targetDatabase} on the ${rolesOf({ parts }).subscriber} has no row for ${migration}, so its position is unknown`,
      { remedy: "delete this migration and start it again; do not change the schema pgmigration while it runs" },
    );
  const progress = await takeOverProgress(target, migration, generation);
  if (progress.slot !== slot)
    throw new EngineError(`progress of ${migration} belongs to slot ${progress.slot}, not to ${slot}`);
  return { progress, applySessions: await holdApplySessions(target, migration, generation) };
}

export const limitsOf = ({ backlog }: FollowOptions): BacklogLimits => ({ ...backlogLimits, ...backlog });

/** Opens a session that reads the backlog with SQL, if the stream is far behind and the source allows it. */
async function openBacklog(
  options: FollowOptions,
  by: Client,
  version: number,
  bytes: number,
): Promise<BacklogSession | undefined> {
  const { source, database, slot, plugin, onEvent } = options;
  if (plugin === "test_decoding" || !canAdvanceCopiedSlots(version)) return undefined;
  if (bytes <= limitsOf(options).behindBytes) return undefined;
  const session = await openBacklogSession(source, by, database, slot);
  const refused = typeof session === "string" ? session : undefined;
  onEvent?.({ kind: "backlog", bytes, refused });
  return typeof session === "string" ? undefined : session;
}
