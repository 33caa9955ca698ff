import type { Client } from "pg";
import { EngineError, TakenOverError } from "../errors.js";
import { serverVersion } from "../postgres/server-version.js";
import { listTables } from "../postgres/tables.js";
import {
  type BacklogLimits,
  BacklogReader,
  type BacklogSession,
  backlogLimits,
  canAdvanceCopiedSlots,
} from "./reader/backlog-reader.js";
import type { Decoder } from "./model/change.js";
import { terminateSlotConsumer } from "./source/drop-slot.js";
import type { FollowSessions } from "./follow-sessions.js";
import type { FollowOptions } from "./follow-options.js";
import { SourceClock } from "./source/lag.js";
import { rolesOf } from "./model/stream-roles.js";
import { PgOutputDecoder } from "./decode/pgoutput.js";
import { type Progress, readProgress, takeOverProgress } from "./target/progress.js";
import { publishesGenerated } from "./source/publication.js";
import { verifySlotIdentity } from "./source/slot-identity.js";
import { TestDecodingDecoder } from "./decode/test-decoding.js";
import { type ValueForm, valueFormOf } from "./model/value-form.js";

/** Where a stream begins, and in which form it comes. */
export interface StreamBegin {
  readonly sessions: FollowSessions;
  readonly progress: Progress;
  readonly clock: SourceClock;
  readonly form: ValueForm;
  readonly decoder: Decoder;
  /** To read by at first, where much has gathered. */
  readonly backlog: BacklogSession | undefined;
}

/**
 * Takes the progress up and looks at the slot.
 *
 * @param takeOver whether to become the holder of the progress; else it has to be ours still
 */
export async function beginStream(
  sessions: FollowSessions,
  options: FollowOptions,
  takeOver: boolean,
): Promise<StreamBegin> {
  const progress = await holdProgress(sessions.target, options, takeOver);
  await verifySlotIdentity(sessions.source, sessions.stream, progress, rolesOf(options));
  // A walsender of a worker that died, or that has just been taken over.
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
      : new PgOutputDecoder(form, publishesGeneratedColumns);
  const backlog = await openBacklog(
    options,
    sessions.source,
    version,
    Number(clock.walLsn! - progress.appliedThroughLsn),
  );
  return { sessions, progress, clock, form, decoder, backlog };
}

async function holdProgress(target: Client, options: FollowOptions, takeOver: boolean): Promise<Progress> {
  const { migration, generation, slot, targetDatabase } = options;
  const found = await readProgress(target, migration);
  if (!found)
    throw new EngineError(
      `the row of ${migration} in pgmigration.progress of ${targetDatabase} on the ${rolesOf(options).subscriber} is gone, so nobody knows how far it has come`,
      { remedy: "delete this migration and start it anew; leave the schema pgmigration alone while it is followed" },
    );
  // Its holder may have gone on since it was found.
  const progress = takeOver ? await takeOverProgress(target, migration, generation) : found;
  if (progress.generation !== generation)
    throw new TakenOverError(
      `changes of ${migration} are applied by another worker now, of generation ${progress.generation}`,
    );
  if (progress.slot !== slot)
    throw new EngineError(`progress of ${migration} is that of slot ${progress.slot}, not of ${slot}`);
  return progress;
}

export const limitsOf = ({ backlog }: FollowOptions): BacklogLimits => ({ ...backlogLimits, ...backlog });

/** A session to begin with where the stream is far behind, and the source lets it be read by SQL. */
async function openBacklog(
  options: FollowOptions,
  by: Client,
  version: number,
  bytes: number,
): Promise<BacklogSession | undefined> {
  const { source, database, slot, plugin, onEvent } = options;
  if (plugin === "test_decoding" || !canAdvanceCopiedSlots(version)) return undefined;
  if (bytes <= limitsOf(options).behindBytes) return undefined;
  const session = await BacklogReader.session(source, by, database, slot);
  const refused = typeof session === "string" ? session : undefined;
  onEvent?.({ kind: "backlog", bytes, refused });
  return typeof session === "string" ? undefined : session;
}
