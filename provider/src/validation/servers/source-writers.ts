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

/** Finds short transactions of busy applications. */
const watchMs = 600;
const pauseMs = 100;
/** The validation has a session in each database already. */
const watchedAtOnce = 8;
/** Finds applications that seldom write. */
const recentSeconds = 300;

/**
 * PGM-212: an offline migration does not migrate what applications commit after its snapshot. It watches in sessions of its
 * own, while the other rules run.
 */
export async function sourceWriters({ spec, source, sources }: ValidationContext): Promise<Finding[]> {
  if (spec.migrationMode === "Online" || spec.schemaOnly) return [];
  const purpose = `${spec.migrationName} watch writers`;
  const slots = new Semaphore(() => watchedAtOnce);
  return Promise.all(
    [...sources.keys()].map((database) =>
      slots.run(() => withSession(source, { database, purpose }, (session) => watch(database, session, spec))),
    ),
  );
}

async function watch(database: string, session: Client, spec: MigrationSpec): Promise<Finding> {
  const selection = await readSelection(session, spec);
  const before = await readTableWrites(session);
  const sessions = await watchSessions(session);
  const tables = writtenBetween(before, await readTableWrites(session)).filter((one) => !isCutRelation(selection, one));
  const common = { database, type: "ServerParametersValidation", object: database, objectType: "Database" } as const;
  const writes = [
    ...(sessions.length > 0 ? [`by sessions of ${enumerate(describeSessions(sessions))}`] : []),
    ...(tables.length > 0 ? [`within ${watchMs / 1000} s to ${enumerate(describeWrites(tables))}`] : []),
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

async function watchSessions(session: Client): Promise<readonly WritingSession[]> {
  const seen = new Map<number, WritingSession>();
  for (let watchedMs = 0; watchedMs < watchMs; watchedMs += pauseMs) {
    for (const one of await writingSessions(session, recentSeconds)) seen.set(one.pid, one);
    await delay(pauseMs);
  }
  return [...seen.values()];
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
