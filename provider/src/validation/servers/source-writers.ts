import type { Client } from "pg";
import { Semaphore } from "../../async/semaphore.js";
import { delay } from "../../async/delay.js";
import type { Finding } from "../../findings.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import { describeWrites, readTableWrites, writtenBetween } from "../../postgres/writes/table-writes.js";
import { describeSessions, writingSessions, type WritingSession } from "../../postgres/writes/writing-sessions.js";
import { isCutRelation, readSelection } from "../../schema/plan/selection.js";
import { enumerate } from "../../units/enumerate.js";
import type { ValidationContext } from "../context.js";

/** Finds short transactions of busy applications. The watch ends between these limits, with the other steps of the validation. */
const minWatchMs = 300;
const maxWatchMs = 600;
const pauseMs = 100;
/** The validation has a session in each database already. */
const watchedAtOnce = 8;
/** Finds applications that seldom write. */
const recentSeconds = 300;

/**
 * PGM-212: an offline migration does not migrate what applications commit after its snapshot. It watches in sessions of its
 * own, while the other rules run.
 *
 * @param others aborts when all other steps have ended, so that the validation does not wait for the watch alone
 */
export async function sourceWriters(
  { spec, source, sources }: ValidationContext,
  others: AbortSignal,
): Promise<Finding[]> {
  if (spec.migrationMode === "Online" || spec.schemaOnly) return [];
  const purpose = `${spec.migrationName} watch writers`;
  const slots = new Semaphore(() => watchedAtOnce);
  return Promise.all(
    [...sources.keys()].map((database) =>
      slots.run(() => withSession(source, { database, purpose }, (session) => watch(database, session, spec, others))),
    ),
  );
}

async function watch(database: string, session: Client, spec: MigrationSpec, others: AbortSignal): Promise<Finding> {
  const selection = await readSelection(session, spec);
  const before = await readTableWrites(session);
  const { sessions, watchedMs } = await watchSessions(session, others);
  const tables = writtenBetween(before, await readTableWrites(session)).filter((one) => !isCutRelation(selection, one));
  const common = { database, type: "ServerParametersValidation", object: database, objectType: "Database" } as const;
  const writes = [
    ...(sessions.length > 0 ? [`by sessions of ${enumerate(describeSessions(sessions))}`] : []),
    ...(tables.length > 0 ? [`within ${watchedMs / 1000} s to ${enumerate(describeWrites(tables))}`] : []),
  ];
  const lost = "what applications commit there after the snapshot is not migrated";
  if (writes.length === 0)
    return { ...common, state: "Succeeded", message: `no session wrote to ${database} on the source; ${lost}` };
  return {
    ...common,
    state: "Warning",
    code: "PGM-212",
    message: `${database} is written on the source (${writes.join("; ")}), and ${lost}`,
    remedy: `${remedyFor(spec)}${await visibility(session, spec)}`,
  };
}

async function watchSessions(
  session: Client,
  others: AbortSignal,
): Promise<{ readonly sessions: readonly WritingSession[]; readonly watchedMs: number }> {
  const seen = new Map<number, WritingSession>();
  let watchedMs = 0;
  while (watchedMs < (others.aborted ? minWatchMs : maxWatchMs)) {
    for (const one of await writingSessions(session, recentSeconds)) seen.set(one.pid, one);
    await delay(pauseMs);
    watchedMs += pauseMs;
  }
  return { sessions: [...seen.values()], watchedMs };
}

const remedyFor = ({ fence }: MigrationSpec): string =>
  fence === "readOnly"
    ? "stop these applications; otherwise the fence terminates their sessions before the snapshot"
    : 'stop these applications until the migration has ended, set fence to "readOnly", or migrate online';

/** How to see the sessions whose statements are hidden from this role. */
async function visibility(session: Client, { source }: MigrationSpec): Promise<string> {
  const { rowCount } = await session.query(
    "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query = '<insufficient privilege>'",
  );
  return rowCount ? `; to see all their sessions: GRANT pg_monitor TO ${quoteIdentifier(source.user)}` : "";
}
