import type pg from "pg";
import { RefusedError, UnreachableError, messageOf } from "../errors.js";
import { connect } from "../postgres/connection/connect.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import { quoteIdentifier, quoteLiteral } from "../postgres/identifiers.js";
import { whatBroke } from "../postgres/connection/session.js";
import { sqlStateOf, sqlStates } from "../postgres/sql-state.js";
import { inTransaction } from "../postgres/transaction.js";
import { takeAdvisoryLock } from "./advisory-lock.js";
import { refuseUntrustedSchema } from "./schema-trust.js";
import { controlSchema, controlSchemaSteps } from "./control-schema.js";

/** A target, and its database with the records. */
export interface StoreAddress {
  readonly target: Endpoint;
  readonly maintenanceDatabase: string;
}

const ownDatabase = "pgmigration";

const changesChannel = "pgmigration";

/** SQL expression: notifies the listeners of {@link Store.listen} when the statement is committed. */
export const notifyChange = (migration: string): string => `pg_notify('${changesChannel}', ${migration})`;

/** Serializes creating and upgrading the control schema on one server. */
const installLock = 0x70676d69;

/**
 * Shared by all sessions that are about to record a migration, so that no other session removes the empty control
 * schema.
 */
const recordingLock = 0x70676d72;

/**
 * A session on the control schema. The schema is in the target's maintenance database, or, if this role cannot write to
 * that, in a separate database `pgmigration`.
 */
export class Store {
  readonly #address: StoreAddress;
  #closed = false;

  private constructor(
    readonly client: pg.Client,
    readonly database: string,
    address: StoreAddress,
  ) {
    this.#address = address;
  }

  /**
   * Opens the store to record a migration, and creates it if it is missing. Close it soon: an empty store cannot be
   * removed while it is open.
   *
   * @throws RefusedError, UnreachableError
   */
  static async open(address: StoreAddress, purpose: string): Promise<Store> {
    const store = await Store.#search(address, purpose, keepSchema);
    if (store) return store;
    const client = await connect(address.target, { database: address.maintenanceDatabase, purpose, bookkeeping: true });
    try {
      await keepSchema(client);
      if (await mayCreateSchema(client)) return await Store.#install(client, address.maintenanceDatabase, address);
      await createOwnDatabase(client, address.target.user);
    } catch (error) {
      await client.end();
      throw error;
    }
    await client.end();
    const own = await connect(address.target, { database: ownDatabase, purpose, bookkeeping: true });
    await keepSchema(own);
    return Store.#install(own, ownDatabase, address);
  }

  /** Opens an existing store; undefined if nothing was ever migrated into this server. */
  static async find(address: StoreAddress, purpose: string): Promise<Store | undefined> {
    return Store.#search(address, purpose, () => Promise.resolve());
  }

  static async #search(
    address: StoreAddress,
    purpose: string,
    beforeLooking: (client: pg.Client) => Promise<void>,
  ): Promise<Store | undefined> {
    const client = await connect(address.target, { database: address.maintenanceDatabase, purpose, bookkeeping: true });
    try {
      await beforeLooking(client);
      if (await hasControlSchema(client)) return await Store.#install(client, address.maintenanceDatabase, address);
      const { rowCount } = await client.query("SELECT FROM pg_database WHERE datname = $1", [ownDatabase]);
      await client.end();
      if (rowCount === 0) return undefined;
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
    const own = await connect(address.target, { database: ownDatabase, purpose, bookkeeping: true });
    await beforeLooking(own);
    if (await hasControlSchema(own)) return Store.#install(own, ownDatabase, address);
    await own.end();
    return undefined;
  }

  static async #install(client: pg.Client, database: string, address: StoreAddress): Promise<Store> {
    try {
      await refuseUntrustedSchema(client, address.target.user);
      await bringUpToDate(client, address.target.user);
      return new Store(client, database, address);
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
  }

  /** @throws UnreachableError when the session is lost; otherwise the server's error */
  async query<Row extends pg.QueryResultRow>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    try {
      return (await this.client.query<Row>(sql, [...values])).rows;
    } catch (error) {
      throw isConnectionLoss(error) ? recordsLost(whatBroke(error, [this.client])) : error;
    }
  }

  /** Writes in one transaction, so that readers see all of it or nothing. */
  atOnce<Result>(write: () => Promise<Result>): Promise<Result> {
    return inTransaction(this.client, write);
  }

  /**
   * Calls `heard` after each change of a migration that was announced by {@link notifyChange}, until the session ends.
   */
  async listen(migration: string, onChange: () => void): Promise<void> {
    this.client.on("notification", ({ payload }) => {
      if (payload === migration) onChange();
    });
    await this.query(`LISTEN ${changesChannel}`);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.client.end();
  }

  /** Removes the store if it has no migration, and closes it. */
  async removeIfEmpty(): Promise<void> {
    const isEmpty = await dropEmptySchema(this.client);
    if (!isEmpty || this.database !== ownDatabase) return;
    await this.close();
    const maintenance = await connect(this.#address.target, {
      database: this.#address.maintenanceDatabase,
      purpose: "remove store",
      bookkeeping: true,
    });
    try {
      await maintenance.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(ownDatabase)}`);
    } catch (error) {
      // Another session is about to record a migration.
      if (sqlStateOf(error) !== sqlStates.objectInUse) throw error;
    } finally {
      await maintenance.end();
    }
  }
}

/** Adds context and remedy to an error of the server or the socket. */
const recordsLost = (error: unknown): unknown =>
  error instanceof UnreachableError
    ? error
    : new UnreachableError(`the session with the target, which records the migration, was lost: ${messageOf(error)}`, {
        remedy: "check that the target answers, and run this again: the records stay, and a running worker continues",
        cause: error,
      });

/** Takes the lock until the session ends. */
async function keepSchema(client: pg.Client): Promise<void> {
  await takeAdvisoryLock(client, `pg_try_advisory_lock_shared(${recordingLock})`, recordingLock);
}

/** Takes the lock until the transaction ends. */
const takeInstallLock = (client: pg.Client): Promise<void> =>
  takeAdvisoryLock(client, `pg_try_advisory_xact_lock(${installLock})`, installLock);

async function hasControlSchema(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ found: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                     WHERE n.nspname = 'pgmigration' AND c.relname = 'migration'
                       AND has_schema_privilege(n.oid, 'USAGE')) AS found`,
  );
  return rows[0]!.found;
}

async function mayCreateSchema(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ may: boolean }>(
    "SELECT has_database_privilege(current_database(), 'CREATE') AS may",
  );
  return rows[0]!.may;
}

async function createOwnDatabase(client: pg.Client, user: string): Promise<void> {
  const { rowCount } = await client.query("SELECT FROM pg_database WHERE datname = $1", [ownDatabase]);
  if (rowCount !== 0) return;
  try {
    await client.query(`CREATE DATABASE ${quoteIdentifier(ownDatabase)}`);
  } catch (cause) {
    throw new RefusedError(`the migration's control schema cannot be created on the target: ${messageOf(cause)}`, {
      remedy: `ALTER ROLE ${quoteIdentifier(user)} CREATEDB, or GRANT CREATE ON DATABASE postgres TO ${quoteIdentifier(user)}`,
      code: "603115",
      cause,
    });
  }
}

async function bringUpToDate(client: pg.Client, user: string): Promise<void> {
  if ((await installedSteps(client)) === controlSchemaSteps.length) return;
  await inTransaction(client, async () => {
    await takeInstallLock(client);
    const installed = await installedSteps(client);
    if (installed > controlSchemaSteps.length)
      throw new RefusedError(`the records on the target were created by a newer version of pulumi-pg-migration`, {
        remedy: "npm install pulumi-pg-migration@latest in this program",
      });
    if (installed === 0) await client.query(`CREATE SCHEMA IF NOT EXISTS ${controlSchema}`);
    // Another role may have created it meanwhile.
    await refuseUntrustedSchema(client, user);
    for (const step of controlSchemaSteps.slice(installed)) await client.query(step);
    await client.query(`COMMENT ON SCHEMA ${controlSchema} IS ${quoteLiteral(versionMark(controlSchemaSteps.length))}`);
  });
}

const versionMark = (steps: number): string => `records of pulumi-pg-migration, version ${steps}`;

/** Number of executed steps, from the schema's comment. */
async function installedSteps(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ comment: string | null }>(
    "SELECT obj_description(oid, 'pg_namespace') AS comment FROM pg_namespace WHERE nspname = $1",
    [controlSchema],
  );
  return Number(/version (\d+)$/.exec(rows[0]?.comment ?? "")?.[1] ?? 0);
}

async function isEmptySchema(client: pg.Client): Promise<boolean> {
  await takeInstallLock(client);
  // Another session may have removed it meanwhile.
  if (!(await hasControlSchema(client))) return false;
  await client.query("LOCK TABLE pgmigration.migration IN ACCESS EXCLUSIVE MODE");
  return (await client.query("SELECT FROM pgmigration.migration LIMIT 1")).rowCount === 0;
}

/**
 * Drops the schema if it is empty, and returns whether it did. It stays while another session is about to record a
 * migration.
 */
async function dropEmptySchema(client: pg.Client): Promise<boolean> {
  return inTransaction(client, async () => {
    const { rows } = await client.query<{ alone: boolean }>("SELECT pg_try_advisory_xact_lock($1) AS alone", [
      recordingLock,
    ]);
    const isEmpty = rows[0]!.alone && (await isEmptySchema(client));
    if (isEmpty) await client.query(`DROP SCHEMA ${controlSchema} CASCADE`);
    return isEmpty;
  });
}
