import type { Client } from "pg";
import { ConcurrentChangeError, EngineError, RefusedError, UnreachableError, messageOf } from "../errors.js";
import { connect } from "../postgres/connection/connect.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import { quoteLiteral } from "../postgres/identifiers.js";
import { limitedLockWaits } from "../postgres/locks/lock-waits.js";
import { refusedViews } from "../postgres/planner-functions.js";
import { sqlStateOf } from "../postgres/sql-state.js";
import { type LockOptions, lockTogether, type TableName } from "./lock-together.js";
import { tablesAlteredSince } from "./tables-altered-since.js";
import { passedBytes } from "../postgres/connection/pass-bytes.js";
import { enumerate } from "../units/enumerate.js";

/** Firewalls and gateways drop connections that are silent for some minutes (Azure's: four). */
const heartbeatMs = 60_000;
/**
 * SQLSTATEs for an ended snapshot:
 *
 * - 22023, "invalid snapshot identifier": its file no longer exists
 * - 42704, "snapshot does not exist": the same from 17 on
 * - 55000, "could not import the requested snapshot": its process ended, but its file exists
 */
const snapshotGone = /^(22023|42704|55000)$/;
/** Maximum number of consecutive snapshots. An application that truncates tables more often is reported. */
const maxSnapshots = 10;

/** The session that exported a snapshot has ended. Its reads have to be repeated under another snapshot. */
export class SnapshotGone extends UnreachableError {}

const exportSnapshot = `SELECT pg_export_snapshot() AS id, txid_current_snapshot()::text AS "txidSnapshot", pg_backend_pid() AS "processId"`;
const beginReadOnly = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/**
 * An exported snapshot, held by its own session. While the session lives, other sessions can read the database as of
 * that moment. {@link release} ends it. If the session breaks, {@link lost} aborts.
 */
export class Snapshot {
  /** Argument of SET TRANSACTION SNAPSHOT. */
  readonly id: string;
  /**
   * The result of txid_current_snapshot(): the same in every session with this snapshot, and different in all others.
   */
  readonly txidSnapshot: string;
  /** Process ID of the session that holds it. */
  readonly processId: number;
  /**
   * Aborts with an UnreachableError when the session has ended: rows copied afterwards do not belong to this snapshot.
   */
  readonly lost: AbortSignal;
  readonly #session: Client;
  readonly #loss = new AbortController();
  readonly #heartbeat: NodeJS.Timeout;
  #released = false;
  #hasLocks = false;

  private constructor(
    session: Client,
    { id, txidSnapshot, processId }: Pick<Snapshot, "id" | "txidSnapshot" | "processId">,
    where: string,
  ) {
    this.#session = session;
    this.id = id;
    this.txidSnapshot = txidSnapshot;
    this.processId = processId;
    this.lost = this.#loss.signal;
    const onEnd = (cause?: unknown): void => {
      clearInterval(this.#heartbeat);
      if (this.#released || this.#loss.signal.aborted) return;
      this.#loss.abort(
        new UnreachableError(`the session that held the snapshot ${id} of ${where} has ended`, {
          remedy: "start again: rows copied under this snapshot have to be copied again under another one",
          cause,
        }),
      );
    };
    session.once("end", () => onEnd());
    this.#heartbeat = setInterval(() => void session.query("SELECT").catch(onEnd), heartbeatMs);
    this.#heartbeat.unref();
  }

  /** Exports a snapshot of the current state. @param before reads in the same session before the snapshot */
  static async export(
    source: Endpoint,
    database: string,
    before: (session: Client) => Promise<void> = () => Promise.resolve(),
  ): Promise<Snapshot> {
    const session = await connect(source, { database, purpose: "snapshot" });
    await before(session).catch(async (error: unknown) => {
      await session.end();
      throw error;
    });
    return Snapshot.#exportFrom(session, [beginReadOnly], database);
  }

  /**
   * Imports the snapshot of another session, for example of a replication slot, so that the other session may stream.
   * Call it while that snapshot exists.
   */
  static async hold(source: Endpoint, database: string, snapshotId: string): Promise<Snapshot> {
    const session = await openInSnapshot(source, database, snapshotId, "snapshot");
    return Snapshot.#exportFrom(session, [], database);
  }

  static async #exportFrom(session: Client, begin: readonly string[], where: string): Promise<Snapshot> {
    try {
      const results = await session.query<Pick<Snapshot, "id" | "txidSnapshot" | "processId">>(
        [...begin, exportSnapshot].join("; "),
      );
      return new Snapshot(session, [results].flat().at(-1)!.rows[0]!, where);
    } catch (error) {
      await session.end();
      if (isConnectionLoss(error)) throw new UnreachableError(`${where}: ${messageOf(error)}`, { cause: error });
      throw new RefusedError(`${where}: no snapshot can be exported: ${messageOf(error)}`, {
        remedy: "connect to a primary server: standbys cannot export snapshots before PostgreSQL 10",
        cause: error,
      });
    }
  }

  /**
   * Locks tables against changes that a snapshot does not protect from, until it is released. After a TRUNCATE or a
   * rewriting ALTER TABLE the snapshot would show no rows, and a rewrite would move rows between parts. Reads and
   * writes continue.
   *
   * @returns the tables, qualified and quoted, that were changed in this way since the snapshot; it no longer shows
   * their rows, and cannot be used
   * @throws the errors of {@link lockTogether}
   */
  async lockTables(tables: readonly TableName[], options: LockOptions = {}): Promise<readonly string[]> {
    await this.#session.query("SAVEPOINT unlocked");
    this.#hasLocks = true;
    const dropped = await lockTogether(this.#session, tables, options);
    return dropped.length > 0 ? dropped : tablesAlteredSince(this.#session, tables);
  }

  /** Ends the effect of {@link lockTables}. Other sessions can still import the snapshot. */
  async unlockTables(): Promise<void> {
    // First: the server may release the locks before its answer arrives.
    this.#hasLocks = false;
    await this.#session.query("ROLLBACK TO SAVEPOINT unlocked");
  }

  /** Whether sessions may wait for the locks of {@link lockTables}. */
  get hasLocks(): boolean {
    return this.#hasLocks && !this.#released;
  }

  get isReleased(): boolean {
    return this.#released;
  }

  /** Releases the snapshot. Sessions that have imported it keep it until their transaction ends. */
  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    clearInterval(this.#heartbeat);
    await this.#session.end();
  }
}

/**
 * Exports a snapshot and locks its tables. It repeats this until no table was truncated, rewritten or replaced in
 * between. Such a table would be copied empty, and earlier changes in the stream would find no rows.
 *
 * @throws ConcurrentChangeError when every attempt fails, and the errors of {@link lockTogether}
 */
export async function lockedSnapshot<Taken extends { readonly snapshot: Snapshot }>(
  take: () => Promise<Taken>,
  tablesOf: (taken: Taken) => Promise<readonly TableName[]>,
  giveUp: (taken: Taken) => Promise<void>,
  options: LockOptions = {},
): Promise<Taken> {
  for (let attempt = 1; ; attempt++) {
    const taken = await take();
    let replaced: readonly string[];
    try {
      replaced = await taken.snapshot.lockTables(await tablesOf(taken), options);
      if (replaced.length === 0) return taken;
    } catch (error) {
      await taken.snapshot.release();
      throw error;
    }
    await taken.snapshot.release();
    await giveUp(taken);
    if (attempt === maxSnapshots)
      throw new ConcurrentChangeError(
        `no snapshot shows all tables: after each of ${attempt} snapshots, ${enumerate(replaced)} was truncated, altered, renamed or dropped before it could be locked`,
        { remedy: "stop these statements until the rows are copied, then start again" },
      );
  }
}

/**
 * Opens a session with a read-only transaction in the snapshot, or in one of its own. Its lock waits are limited to a minute. The caller
 * closes it.
 *
 * @throws SnapshotGone when the snapshot no longer exists
 */
export async function openInSnapshot(
  source: Endpoint,
  database: string,
  snapshotId: string | undefined,
  purpose: string,
): Promise<Client> {
  if (snapshotId !== undefined && !/^[0-9A-Fa-f-]+$/.test(snapshotId))
    throw new EngineError(`not a snapshot: ${JSON.stringify(snapshotId)}`);
  const session = await connect(source, { database, purpose });
  try {
    const inSnapshot = snapshotId === undefined ? [] : [`SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshotId)}`];
    // Other sessions may wait for tables that the snapshot's holder has locked. Later requests queue after them,
    // including reads of this session.
    const settings = [limitedLockWaits, passedBytes, refusedViews("session")];
    await session.query([beginReadOnly, ...inSnapshot, ...settings].join("; "));
    return session;
  } catch (error) {
    await session.end();
    if (isConnectionLoss(error)) throw new UnreachableError(`${database}: ${messageOf(error)}`, { cause: error });
    if (snapshotGone.test(sqlStateOf(error)))
      throw new SnapshotGone(
        `${database}: the connection that held the snapshot ${snapshotId} is lost (${messageOf(error)})`,
        { remedy: "start again: rows read under this snapshot have to be read under another one", cause: error },
      );
    throw new RefusedError(`${database}: the snapshot ${snapshotId} cannot be used: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/**
 * Runs with the session of {@link openInSnapshot}, and ends it, also after an error.
 *
 * @example const tables = await withSnapshotSession({ source, database, snapshotId, purpose: "catalogue" }, listTables);
 */
export async function withSnapshotSession<Result>(
  { source, database, snapshotId, purpose }: SnapshotSession,
  run: (session: Client) => Promise<Result>,
): Promise<Result> {
  const session = await openInSnapshot(source, database, snapshotId, purpose);
  try {
    return await run(session);
  } finally {
    await session.end();
  }
}

export interface SnapshotSession {
  readonly source: Endpoint;
  readonly database: string;
  /** Undefined: a snapshot of its own, which the first query takes. */
  readonly snapshotId: string | undefined;
  readonly purpose: string;
}
