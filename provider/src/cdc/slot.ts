import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { Canceled, Refused, TimedOut } from "../errors.js";
import { applicationNamePrefix, connect, type Endpoint } from "../postgres/connect.js";
import { formatLsn, type Lsn, parseLsn } from "../postgres/lsn.js";
import { quoteIdentifier } from "../postgres/identifiers.js";
import { serverVersion } from "../postgres/server-version.js";
import type { Progress, SlotIdentity } from "./progress.js";

export type OutputPlugin = "pgoutput" | "test_decoding";

/** A session whose open transaction a new slot has to wait for. */
export interface BlockingSession {
  /** Undefined for a prepared transaction, which no session holds. */
  readonly pid: number | undefined;
  /** Of a prepared transaction: its name for ROLLBACK PREPARED. */
  readonly preparedAs: string | undefined;
  readonly transactionAgeSeconds: number | undefined;
  readonly applicationName: string | undefined;
  readonly user: string | undefined;
  readonly state: string | undefined;
  readonly queryStart: Date | undefined;
}

export interface SlotOptions {
  readonly source: Endpoint;
  readonly database: string;
  readonly slot: string;
  /** pgoutput from PostgreSQL 10 on; test_decoding is what 9.4 to 9.6 have. */
  readonly plugin: OutputPlugin;
  /** Called every second while older transactions are open; the slot begins when the last of them has ended. */
  readonly onWaiting?: (sessions: readonly BlockingSession[]) => void;
  /** How long to wait for them; for ever by default. */
  readonly timeoutSeconds?: number;
  readonly signal?: AbortSignal;
}

/** A slot with the snapshot of the database at its consistent point. */
export interface CreatedSlot extends SlotIdentity {
  /** For SET TRANSACTION SNAPSHOT in other sessions of the database, until release. */
  readonly snapshotId: string;
  /** Ends the session that holds the snapshot. The slot stays. */
  readonly release: () => Promise<void>;
}

/** A place in the source's history at which its content can be read. */
export interface ComparisonPoint {
  /** The snapshot shows all that committed at or before, and nothing after. */
  readonly lsn: Lsn;
  readonly snapshotId: string;
  readonly release: () => Promise<void>;
}

/**
 * Creates a logical slot and exports the snapshot of its consistent point: a copy under that snapshot and the slot's
 * stream together are the database, with nothing twice and nothing missing.
 *
 * @throws Refused when the source is not able or willing to (wal_level, max_replication_slots, privileges, name taken)
 * @throws TimedOut naming the sessions whose transactions were waited for
 */
export async function createSlot(options: SlotOptions): Promise<CreatedSlot> {
  return create(options, false);
}

/**
 * Makes a place for an exact comparison, with a temporary slot that goes with its session. Hold the follower before, so
 * that it has not applied what committed later: `hold`, this, `drainTo(lsn)`, open the target's snapshot, `resume`.
 *
 * @throws as {@link createSlot}
 */
export async function createComparisonPoint(options: SlotOptions): Promise<ComparisonPoint> {
  const { consistentPoint, snapshotId, release } = await create(options, true);
  return { lsn: consistentPoint, snapshotId, release };
}

async function create(options: SlotOptions, temporary: boolean): Promise<CreatedSlot> {
  const { source, database, slot } = options;
  const session = await connect(source, { database, purpose: "slot", replication: true });
  let observer: Client | undefined;
  try {
    observer = await connect(source, { database, purpose: "slot observer" });
    // TEMPORARY came with 10; before, the slot is dropped on release.
    const goesWithSession = temporary && (await serverVersion(observer)) >= 100000;
    const system = await identifySystem(session);
    // Exporting the snapshot is the default in every version; the word for it differs.
    const command = `CREATE_REPLICATION_SLOT ${quoteIdentifier(slot)}${goesWithSession ? " TEMPORARY" : ""} LOGICAL ${options.plugin}`;
    const created = session.query<{ consistent_point: string; snapshot_name: string }>(command);
    const { rows } = await watched(created, session, observer, options);
    return {
      slot,
      consistentPoint: parseLsn(rows[0]!.consistent_point),
      snapshotId: rows[0]!.snapshot_name,
      ...system,
      release: async () => {
        await session.end();
        if (temporary && !goesWithSession) await dropSlot(source, database, slot);
      },
    };
  } catch (cause) {
    await session.end();
    throw slotFailure(cause, options);
  } finally {
    await observer?.end();
  }
}

async function identifySystem(session: Client): Promise<Pick<SlotIdentity, "systemIdentifier" | "timeline">> {
  const { rows } = await session.query<{ systemid: string; timeline: number | string }>("IDENTIFY_SYSTEM");
  // The timeline is an int8 from 16 on, which pg answers as text.
  return { systemIdentifier: rows[0]!.systemid, timeline: Number(rows[0]!.timeline) };
}

/** Waits for the slot, tells who holds it up, and ends the attempt on the server when the time is over. */
async function watched<Result>(
  created: Promise<Result>,
  session: Client,
  observer: Client,
  { slot, onWaiting, timeoutSeconds, signal }: SlotOptions,
): Promise<Result> {
  const startedAt = Date.now();
  const done = created.then(
    () => true,
    () => true,
  );
  for (;;) {
    if (await Promise.race([done, sleep(1000, false)])) return created;
    const sessions = await blockingSessions(observer, processIdOf(session));
    if (sessions.length > 0) onWaiting?.(sessions);
    const waitedSeconds = (Date.now() - startedAt) / 1000;
    const late = timeoutSeconds !== undefined && waitedSeconds >= timeoutSeconds;
    if (!late && !signal?.aborted) continue;
    // A walsender that waits for a lock does not notice a closed socket: without this it would make the slot later.
    await observer.query("SELECT pg_catalog.pg_terminate_backend($1)", [processIdOf(session)]);
    await done;
    if (signal?.aborted) throw new Canceled(`creating slot ${slot} was given up`);
    throw new TimedOut(`slot ${slot} could not begin within ${timeoutSeconds ?? 0} s: ${describe(sessions)}`, {
      remedy: "end these transactions on the source, e.g. SELECT pg_terminate_backend(<pid>), and try again",
    });
  }
}

const processIdOf = (client: Client): number => (client as unknown as { processID: number }).processID;

async function blockingSessions(observer: Client, walsenderPid: number): Promise<BlockingSession[]> {
  // pg_blocking_pids is of 9.6, and answers 0 for a prepared transaction.
  const blockers =
    (await serverVersion(observer)) >= 90600
      ? "pg_catalog.pg_blocking_pids($1)"
      : `(SELECT array_agg(held.pid) FROM pg_locks wanted JOIN pg_locks held USING (locktype, transactionid)
           WHERE wanted.pid = $1 AND NOT wanted.granted AND held.granted AND locktype = 'transactionid')`;
  const { rows } = await observer.query<Record<keyof BlockingSession, never>>(
    `SELECT nullif(blocker.pid, 0) AS pid,
            prepared.gid AS "preparedAs",
            extract(epoch FROM now() - coalesce(activity.xact_start, prepared.prepared))::float8 AS "transactionAgeSeconds",
            activity.application_name AS "applicationName",
            coalesce(activity.usename, prepared.owner) AS "user",
            activity.state,
            activity.query_start AS "queryStart"
       FROM unnest(${blockers}) AS blocker (pid)
       LEFT JOIN pg_catalog.pg_stat_activity activity ON activity.pid = blocker.pid
       LEFT JOIN pg_catalog.pg_prepared_xacts prepared ON blocker.pid = 0`,
    [walsenderPid],
  );
  return rows.map((row) => withoutNulls(row));
}

const withoutNulls = (row: Record<keyof BlockingSession, unknown>): BlockingSession =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, value ?? undefined]),
  ) as unknown as BlockingSession;

function describe(sessions: readonly BlockingSession[]): string {
  if (sessions.length === 0) return "the server did not say what it waited for";
  const lines = sessions.map(({ pid, preparedAs, transactionAgeSeconds, applicationName, user, state }) => {
    const who = preparedAs === undefined ? `pid ${pid ?? "?"}` : `prepared transaction ${preparedAs}`;
    const age = transactionAgeSeconds === undefined ? "" : `, open for ${Math.round(transactionAgeSeconds)} s`;
    return `${who} (${user ?? "unknown user"}, ${applicationName ?? "unknown application"}, ${state ?? "state unknown"}${age})`;
  });
  return `it waits for ${lines.join("; ")}`;
}

function slotFailure(cause: unknown, { slot, database }: SlotOptions): unknown {
  const { code, message } = cause as { code?: string; message: string };
  const refuse = (remedy: string): Refused =>
    new Refused(`the source cannot create slot ${slot} in ${database} (${message})`, { remedy, code: "603101", cause });
  switch (code) {
    case "42710":
      return refuse(`drop it if nothing needs it: SELECT pg_drop_replication_slot('${slot}')`);
    case "53400":
      return refuse("raise max_replication_slots on the source and restart it, or drop slots that nothing needs");
    case "55000":
      return refuse("set wal_level = logical on the source and restart it");
    case "42501":
      return refuse("give the role REPLICATION: ALTER ROLE <role> REPLICATION");
    default:
      return cause;
  }
}

export interface SlotState {
  readonly plugin: string;
  readonly temporary: boolean;
  /** The process that streams from it, if any. */
  readonly activePid: number | undefined;
  readonly confirmedFlushLsn: Lsn | undefined;
  readonly restartLsn: Lsn | undefined;
  /** `reserved`, `extended`, `unreserved` or `lost`; undefined before 13, which removes no slot's WAL. */
  readonly walStatus: string | undefined;
  /** WAL that the source keeps because of this slot. */
  readonly retainedBytes: number | undefined;
}

/** Undefined when there is no slot of that name. */
export async function inspectSlot(source: Client, slot: string): Promise<SlotState | undefined> {
  const version = await serverVersion(source);
  const position = version >= 100000 ? "pg_current_wal_lsn()" : "pg_current_xlog_location()";
  const distance = version >= 100000 ? "pg_wal_lsn_diff" : "pg_xlog_location_diff";
  const confirmed = version >= 90600 ? "confirmed_flush_lsn" : "NULL";
  const { rows } = await source.query<Record<string, string | number | boolean | null>>(
    `SELECT plugin, active_pid, restart_lsn,
            ${confirmed} AS confirmed_flush_lsn,
            ${version >= 100000 ? "temporary" : "false"} AS temporary,
            ${version >= 130000 ? "wal_status" : "NULL"} AS wal_status,
            ${distance}(${position}, restart_lsn)::float8 AS retained
       FROM pg_catalog.pg_replication_slots WHERE slot_name = $1`,
    [slot],
  );
  const row = rows[0];
  if (!row) return undefined;
  const lsn = (text: unknown): Lsn | undefined => (typeof text === "string" ? parseLsn(text) : undefined);
  return {
    plugin: String(row.plugin),
    temporary: row.temporary === true,
    activePid: (row.active_pid as number | null) ?? undefined,
    confirmedFlushLsn: lsn(row.confirmed_flush_lsn),
    restartLsn: lsn(row.restart_lsn),
    walStatus: (row.wal_status as string | null) ?? undefined,
    retainedBytes: (row.retained as number | null) ?? undefined,
  };
}

/**
 * Checks before streaming that the slot is the one that this progress began with, and still has all that is missing: a
 * slot made anew under the old name, or one on a promoted standby, would leave a gap that nobody sees.
 *
 * @throws Refused when it is not; only a new copy helps then
 */
export async function verifySlotIdentity(source: Client, session: Client, progress: Progress): Promise<void> {
  const refuse = (what: string): Refused =>
    new Refused(`changes have been lost between slot ${progress.slot} and the target: ${what}`, {
      remedy: "delete this migration and start it anew: a gap cannot be filled from the slot",
      code: "603120",
    });
  const state = await inspectSlot(source, progress.slot);
  if (!state) throw refuse("the slot is gone; it was dropped, or lost in a failover");
  const { systemIdentifier, timeline } = await identifySystem(session);
  if (systemIdentifier !== progress.systemIdentifier)
    throw refuse(
      `the source is another server (system identifier ${systemIdentifier}, not ${progress.systemIdentifier})`,
    );
  if (timeline !== progress.timeline)
    throw refuse(`the source was promoted or restored (timeline ${timeline}, not ${progress.timeline})`);
  if (state.walStatus === "lost")
    throw refuse("the source has removed WAL that the slot needs (max_slot_wal_keep_size)");
  // Nothing is ever confirmed that is not durable in the progress row, so our own slot is never ahead of it.
  if (state.confirmedFlushLsn !== undefined && state.confirmedFlushLsn > progress.throughLsn)
    throw refuse(
      `the slot begins at ${formatLsn(state.confirmedFlushLsn)}, beyond the ${formatLsn(progress.throughLsn)} that the ` +
        "target has; it was dropped and made anew, or advanced by somebody else",
    );
}

/**
 * Drops a slot; idempotent. A walsender of ours that still streams from it, left by a worker that died, is ended first.
 *
 * @throws Refused when somebody else streams from it
 * @throws TimedOut when it does not become free in time
 */
export async function dropSlot(source: Endpoint, database: string, slot: string, timeoutSeconds = 30): Promise<void> {
  const client = await connect(source, { database, purpose: "drop slot" });
  try {
    const deadline = Date.now() + timeoutSeconds * 1000;
    for (;;) {
      if (!(await inspectSlot(client, slot))) return;
      await endHolder(client, slot);
      if (await droppedNow(client, slot)) return;
      if (Date.now() > deadline)
        throw new TimedOut(`slot ${slot} on ${source.host} stays in use after ${timeoutSeconds} s`, {
          remedy: `end the session that streams from it, then SELECT pg_drop_replication_slot('${slot}')`,
        });
      await sleep(100);
    }
  } finally {
    await client.end();
  }
}

async function droppedNow(client: Client, slot: string): Promise<boolean> {
  try {
    await client.query("SELECT pg_catalog.pg_drop_replication_slot($1)", [slot]);
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "42704") return true;
    if (code === "55006") return false;
    throw error;
  }
}

/**
 * Ends the session that streams from a slot, if it is one of ours.
 *
 * @throws Refused when it is somebody else's
 */
export async function endHolder(source: Client, slot: string): Promise<void> {
  const { rows } = await source.query<{ pid: number; application: string | null }>(
    `SELECT s.active_pid AS pid, a.application_name AS application
       FROM pg_catalog.pg_replication_slots s LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid
      WHERE s.slot_name = $1 AND s.active_pid IS NOT NULL`,
    [slot],
  );
  const holder = rows[0];
  if (!holder) return;
  if (holder.application !== null && !holder.application.startsWith(applicationNamePrefix))
    throw new Refused(
      `slot ${slot} is in use by process ${holder.pid} (${holder.application || "unnamed"}), which is not ours`,
      {
        remedy: `end that session if it has no business there: SELECT pg_terminate_backend(${holder.pid})`,
      },
    );
  await source.query("SELECT pg_catalog.pg_terminate_backend($1)", [holder.pid]);
}
