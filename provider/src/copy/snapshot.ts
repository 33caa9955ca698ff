import type { Client } from "pg";
import { EngineFault, Refused, Unreachable, messageOf } from "../errors.js";
import { type Endpoint, connect } from "../postgres/connect.js";
import { isConnectionLoss } from "../postgres/connection-loss.js";
import { qualify, quoteLiteral } from "../postgres/identifiers.js";
import type { Table } from "../postgres/tables.js";
import { passBytes } from "./pass-bytes.js";

/** Firewalls and gateways forget a connection that is silent for some minutes (Azure's: four). */
const heartbeatMs = 60_000;
/** How long one LOCK TABLE may wait, in seconds. */
const lockPatienceSeconds = 60;
/** Tables per LOCK TABLE: a statement of some hundred kilobytes at most. */
const tablesPerLock = 1000;

const beginReadOnly = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/**
 * An exported snapshot, held by a session of its own: as long as that lives, every other session may see the database as
 * it was at that moment. It ends with {@link release}; if its session breaks, {@link lost} aborts.
 */
export class Snapshot {
  /** What SET TRANSACTION SNAPSHOT takes. */
  readonly id: string;
  /** Aborts, with an Unreachable as its reason, when the session has died: what is copied from then on is no longer one. */
  readonly lost: AbortSignal;
  readonly #session: Client;
  readonly #loss = new AbortController();
  readonly #heartbeat: NodeJS.Timeout;
  #released = false;

  private constructor(session: Client, id: string, where: string) {
    this.#session = session;
    this.id = id;
    this.lost = this.#loss.signal;
    const onEnd = (cause?: unknown): void => {
      clearInterval(this.#heartbeat);
      if (this.#released || this.#loss.signal.aborted) return;
      this.#loss.abort(
        new Unreachable(`the session that held the snapshot ${id} of ${where} has ended`, {
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
      const { rows } = await session.query<{ id: string }>("SELECT pg_export_snapshot() AS id");
      return new Snapshot(session, rows[0]!.id, where);
    } catch (error) {
      await session.end();
      if (isConnectionLoss(error)) throw new Unreachable(`${where}: ${messageOf(error)}`, { cause: error });
      throw new Refused(`${where}: no snapshot can be exported: ${messageOf(error)}`, {
        remedy: "connect to a primary server: a standby exports no snapshots before PostgreSQL 10",
        cause: error,
      });
    }
  }

  /**
   * Locks tables against what no snapshot is proof against, for as long as it is held: a TRUNCATE or a rewriting ALTER
   * TABLE would make rows vanish from it, and a rewrite would move rows between parts. Reads and writes go on.
   *
   * @throws Refused when a lock is not granted within a minute, or not permitted
   */
  async lockTables(tables: readonly Pick<Table, "schema" | "name">[]): Promise<void> {
    await this.#session.query(`SET LOCAL lock_timeout = ${lockPatienceSeconds * 1000}`);
    for (let first = 0; first < tables.length; first += tablesPerLock) {
      const names = tables
        .slice(first, first + tablesPerLock)
        .map(({ schema, name }) => `ONLY ${qualify(schema, name)}`);
      try {
        await this.#session.query(`LOCK TABLE ${names.join(", ")} IN ACCESS SHARE MODE`);
      } catch (error) {
        if (isConnectionLoss(error)) throw new Unreachable(`locking tables: ${messageOf(error)}`, { cause: error });
        throw new Refused(`the tables to copy cannot be locked against ALTER and TRUNCATE: ${messageOf(error)}`, {
          remedy: "end the session that holds an ACCESS EXCLUSIVE lock (see pg_locks), or GRANT SELECT on the tables",
          cause: error,
        });
      }
    }
    await this.#session.query("SET LOCAL lock_timeout = 0");
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
 * Opens a session whose transaction, read only, sees what the snapshot sees. The caller ends it.
 *
 * @throws Refused when the snapshot is there no longer
 */
export async function openInSnapshot(
  source: Endpoint,
  database: string,
  snapshotId: string,
  purpose: string,
): Promise<Client> {
  if (!/^[0-9A-Fa-f-]+$/.test(snapshotId)) throw new EngineFault(`not a snapshot: ${JSON.stringify(snapshotId)}`);
  const session = await connect(source, { database, purpose });
  try {
    await session.query(beginReadOnly);
    await session.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshotId)}`);
    await passBytes(session);
    return session;
  } catch (error) {
    await session.end();
    if (isConnectionLoss(error)) throw new Unreachable(`${database}: ${messageOf(error)}`, { cause: error });
    throw new Refused(`${database}: the snapshot ${snapshotId} cannot be used: ${messageOf(error)}`, {
      remedy: "start again: the session that exported it has ended, so the copy needs a new snapshot",
      cause: error,
    });
  }
}
