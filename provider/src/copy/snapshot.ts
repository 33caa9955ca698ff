import type { Client } from "pg";
import { ConcurrentChangeError, EngineError, RefusedError, UnreachableError, messageOf } from "../errors.js";
import { connect } from "../postgres/connection/connect.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import { quoteLiteral } from "../postgres/identifiers.js";
import { currentRelation } from "../postgres/current-relation.js";
import { limitLockWaits } from "../postgres/locks/lock-waits.js";
import { refuseViews } from "../postgres/planner-functions.js";
import { sqlStateOf } from "../postgres/sql-state.js";
import { type LockOptions, lockTogether, type TableName } from "./lock-together.js";
import { passBytes } from "../postgres/connection/pass-bytes.js";

/** Firewalls and gateways forget a connection that is silent for some minutes (Azure's: four). */
const heartbeatMs = 60_000;
/**
 * "invalid snapshot identifier", of one that is well formed: its file is gone; "snapshot does not exist" from 17 on; "could
 * not import the requested snapshot": its process is gone, and its file about to be.
 */
const snapshotGone = /^(22023|42704|55000)$/;
/** An application that empties a table more often than this in a row has to be told. */
const mostSnapshots = 10;

/** The session that exported a snapshot has ended: what was to be read under it has to be read under another one. */
export class SnapshotGone extends UnreachableError {}

const beginReadOnly = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/**
 * An exported snapshot, held by a session of its own: as long as that lives, every other session may see the database as
 * it was at that moment. It ends with {@link release}; if its session breaks, {@link lost} aborts.
 */
export class Snapshot {
  /** What SET TRANSACTION SNAPSHOT takes. */
  readonly id: string;
  /** What it shows, as txid_current_snapshot() says it: the same of every session that has it, and of no other moment. */
  readonly moment: string;
  /** The server's process of the session that holds it. */
  readonly processId: number;
  /** Aborts, with an UnreachableError as its reason, when the session has died: what is copied from then on is no longer one. */
  readonly lost: AbortSignal;
  readonly #session: Client;
  readonly #loss = new AbortController();
  readonly #heartbeat: NodeJS.Timeout;
  #released = false;

  private constructor(
    session: Client,
    { id, moment, processId }: Pick<Snapshot, "id" | "moment" | "processId">,
    where: string,
  ) {
    this.#session = session;
    this.id = id;
    this.moment = moment;
    this.processId = processId;
    this.lost = this.#loss.signal;
    const onEnd = (cause?: unknown): void => {
      clearInterval(this.#heartbeat);
      if (this.#released || this.#loss.signal.aborted) return;
      this.#loss.abort(
        new UnreachableError(`the session that held the snapshot ${id} of ${where} has ended`, {
          remedy: "start again: what was copied under this snapshot has to be copied anew under another one",
          cause,
        }),
      );
    };
    session.once("end", () => onEnd());
    this.#heartbeat = setInterval(() => void session.query("SELECT").catch(onEnd), heartbeatMs);
    this.#heartbeat.unref();
  }

  /** Takes a snapshot of the database now. */
  static async export(source: Endpoint, database: string): Promise<Snapshot> {
    const session = await connect(source, { database, purpose: "snapshot" });
    return Snapshot.#exportFrom(session, () => session.query(beginReadOnly), database);
  }

  /**
   * Takes over a snapshot that another session has exported, a replication slot's for example, whose session may then
   * go on to stream. Has to be called while that snapshot is still there.
   */
  static async hold(source: Endpoint, database: string, snapshotId: string): Promise<Snapshot> {
    const session = await openInSnapshot(source, database, snapshotId, "snapshot");
    return Snapshot.#exportFrom(session, () => Promise.resolve(), database);
  }

  static async #exportFrom(session: Client, begin: () => Promise<unknown>, where: string): Promise<Snapshot> {
    try {
      await begin();
      const { rows } = await session.query<Pick<Snapshot, "id" | "moment" | "processId">>(
        `SELECT pg_export_snapshot() AS id, txid_current_snapshot()::text AS moment, pg_backend_pid() AS "processId"`,
      );
      return new Snapshot(session, rows[0]!, where);
    } catch (error) {
      await session.end();
      if (isConnectionLoss(error)) throw new UnreachableError(`${where}: ${messageOf(error)}`, { cause: error });
      throw new RefusedError(`${where}: no snapshot can be exported: ${messageOf(error)}`, {
        remedy: "connect to a primary server: a standby exports no snapshots before PostgreSQL 10",
        cause: error,
      });
    }
  }

  /**
   * Locks tables against what no snapshot is proof against, for as long as it is held: a TRUNCATE or a rewriting ALTER
   * TABLE would make rows vanish from it, and a rewrite would move rows between parts. Reads and writes go on.
   *
   * @returns the tables, qualified and quoted, to which that has happened since the snapshot: it does not show their rows
   * any more, and is of no use
   * @throws as {@link lockTogether}
   */
  async lockTables(tables: readonly TableName[], options: LockOptions = {}): Promise<readonly string[]> {
    const dropped = await lockTogether(this.#session, tables, options);
    return dropped.length > 0 ? dropped : this.#replacedSince(tables);
  }

  /** The catalogue's tables are read as of the snapshot, its functions answer as of now. */
  async #replacedSince(tables: readonly TableName[]): Promise<string[]> {
    const named = await currentRelation(this.#session, "format('%I.%I', wanted.schema, wanted.name)");
    const { rows } = await this.#session.query<{ name: string }>(
      `SELECT format('%I.%I', wanted.schema, wanted.name) AS name
         FROM unnest($1::text[], $2::text[]) AS wanted (schema, name)
         LEFT JOIN pg_namespace n ON n.nspname = wanted.schema
         LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
        WHERE c.oid IS DISTINCT FROM ${named}
           OR nullif(c.relfilenode, 0) IS DISTINCT FROM pg_relation_filenode(c.oid)::oid`,
      [tables.map(({ schema }) => schema), tables.map(({ name }) => name)],
    );
    return rows.map(({ name }) => name);
  }

  get isReleased(): boolean {
    return this.#released;
  }

  /** Lets go of the snapshot; sessions that have it already keep it until they end their transaction. */
  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    clearInterval(this.#heartbeat);
    await this.#session.end();
  }
}

/**
 * Takes a snapshot and locks its tables, again until nothing was truncated, rewritten or replaced in between: such a table
 * would be copied empty, and the changes that the stream has from before would find no rows.
 *
 * @throws ConcurrentChangeError when that happens at every try; as {@link lockTogether}
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
    if (attempt === mostSnapshots)
      throw new ConcurrentChangeError(
        `no snapshot shows all tables: after each of ${attempt} snapshots, ${replaced.join(", ")} was truncated, rewritten, renamed or dropped before it could be locked`,
        { remedy: "stop what does so until the rows are copied, then start again" },
      );
  }
}

/**
 * Opens a session whose transaction, read only, sees what the snapshot sees, and waits for no lock for longer than a
 * minute. The caller ends it.
 *
 * @throws SnapshotGone when the snapshot is there no longer
 */
export async function openInSnapshot(
  source: Endpoint,
  database: string,
  snapshotId: string,
  purpose: string,
): Promise<Client> {
  if (!/^[0-9A-Fa-f-]+$/.test(snapshotId)) throw new EngineError(`not a snapshot: ${JSON.stringify(snapshotId)}`);
  const session = await connect(source, { database, purpose });
  try {
    await session.query(beginReadOnly);
    await session.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshotId)}`);
    // Whoever waits for a table that the snapshot's holder has locked keeps all others from it: from reading it here, too.
    await limitLockWaits(session);
    await passBytes(session);
    await refuseViews(session);
    return session;
  } catch (error) {
    await session.end();
    if (isConnectionLoss(error)) throw new UnreachableError(`${database}: ${messageOf(error)}`, { cause: error });
    if (snapshotGone.test(sqlStateOf(error)))
      throw new SnapshotGone(
        `${database}: the connection that held the snapshot ${snapshotId} is lost (${messageOf(error)})`,
        { remedy: "start again: what is read under this snapshot has to be read under another one", cause: error },
      );
    throw new RefusedError(`${database}: the snapshot ${snapshotId} cannot be used: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
