import type pg from "pg";
import { log } from "../log.js";
import { MigrationError, UnreachableError, messageOf } from "../errors.js";
import { recordsDatabase } from "../inputs/maintenance-database.js";
import { connect, isMissingDatabase } from "../postgres/connection/connect.js";
import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import { connectionErrorOf } from "../postgres/connection/session.js";
import { refuseUntrustedSchema } from "../postgres/schema-trust.js";
import { inTransaction } from "../postgres/transaction.js";
import { controlSchemaSteps } from "./installation/control-schema.js";
import { dropEmptySchema } from "./installation/drop-empty-schema.js";
import { bringUpToDate, installedSteps, lookForRecords, mayCreateSchema } from "./installation/installed-schema.js";
import {
  createOwnDatabase,
  dropOwnDatabase,
  existingDatabase,
  hasOwnDatabase,
  type StoreAddress,
} from "./installation/records-database.js";
import { keepSchema } from "./installation/schema-locks.js";

/** Refuses a session before it reads or writes anything. */
export type SessionCheck = (client: pg.Client) => Promise<void>;

const accept: SessionCheck = () => Promise.resolve();

const changesChannel = "pgmigration";

/** SQL expression: notifies the listeners of {@link Store.listen} when the statement is committed. */
export const notifyChange = (migration: string): string => `pg_notify('${changesChannel}', ${migration})`;

/**
 * A session on the control schema. The schema is in the target's maintenance database. If this role cannot write to that
 * database, or the migration replaces it, the schema is in a separate database `pgmigration`.
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
  static async open(address: StoreAddress, purpose: string, check: SessionCheck = accept): Promise<Store> {
    const keep: SessionCheck = async (client) => {
      await check(client);
      await keepSchema(client);
    };
    const found = await Store.#search(address, purpose, keep);
    if (found instanceof Store) return found;
    const client = found ?? (await openSession(address, existingDatabase(address), purpose));
    try {
      if (!found) await keep(client);
      if (!hasOwnDatabase(address) && (await mayCreateSchema(client)))
        return await Store.#install(client, address.maintenanceDatabase, address);
      await createOwnDatabase(client, address.target.user);
    } catch (error) {
      await client.end();
      throw error;
    }
    await client.end();
    const own = await openSession(address, recordsDatabase, purpose);
    await keepSchema(own);
    return Store.#install(own, recordsDatabase, address);
  }

  /**
   * Opens an existing store; undefined if nothing was ever migrated into this server.
   *
   * @throws RefusedError if there is a store that this role may not use
   */
  static async find(address: StoreAddress, purpose: string, check: SessionCheck = accept): Promise<Store | undefined> {
    const found = await Store.#search(address, purpose, check);
    if (found instanceof Store) return found;
    await found?.end();
    return undefined;
  }

  /** Returns the open session of the maintenance database if the server has no records, and no database for them. */
  static async #search(
    address: StoreAddress,
    purpose: string,
    beforeLooking: SessionCheck,
  ): Promise<Store | pg.Client | undefined> {
    if (hasOwnDatabase(address)) return Store.#searchOwn(address, purpose, beforeLooking);
    const opened = openSession(address, address.maintenanceDatabase, purpose);
    const client = await opened.catch(async (error: unknown) => {
      // A migration may be replacing this database now.
      const own = isMissingDatabase(error) ? await Store.#searchOwn(address, purpose, beforeLooking) : undefined;
      if (own) return own;
      throw error;
    });
    if (client instanceof Store) return client;
    try {
      await beforeLooking(client);
      const [installed, { rowCount }] = await Promise.all([
        lookForRecords(client),
        client.query("SELECT FROM pg_database WHERE datname = $1", [recordsDatabase]),
      ]);
      if (installed !== undefined)
        return await Store.#upToDate(client, installed, { database: address.maintenanceDatabase, address });
      if (rowCount === 0) return client;
      await client.end();
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
    return Store.#searchOwn(address, purpose, beforeLooking);
  }

  static async #searchOwn(
    address: StoreAddress,
    purpose: string,
    beforeLooking: SessionCheck,
  ): Promise<Store | undefined> {
    const own = await openSession(address, recordsDatabase, purpose).catch((error: unknown) => {
      if (isMissingDatabase(error)) return undefined;
      throw error;
    });
    if (!own) return undefined;
    try {
      await beforeLooking(own);
      const installed = await lookForRecords(own);
      if (installed !== undefined) return await Store.#upToDate(own, installed, { database: recordsDatabase, address });
      await own.end();
      return undefined;
    } catch (error) {
      await own.end().catch(() => undefined);
      throw error;
    }
  }

  static async #install(client: pg.Client, database: string, address: StoreAddress): Promise<Store> {
    try {
      await refuseUntrustedSchema(client);
      return await Store.#upToDate(client, await installedSteps(client), { database, address });
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
  }

  /** @param installed {@link installedSteps} */
  static async #upToDate(
    client: pg.Client,
    installed: number,
    { database, address }: { readonly database: string; readonly address: StoreAddress },
  ): Promise<Store> {
    if (installed !== controlSchemaSteps.length) await bringUpToDate(client);
    return new Store(client, database, address);
  }

  /** @throws UnreachableError when the session is lost; otherwise the server's error */
  async query<Row extends pg.QueryResultRow>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    try {
      return (await this.client.query<Row>(sql, [...values])).rows;
    } catch (error) {
      throw isConnectionLoss(error) ? recordsLost(connectionErrorOf(error, [this.client])) : error;
    }
  }

  /** Writes in one transaction, so that readers see all of it or nothing. */
  atOnce<Result>(write: () => Promise<Result>): Promise<Result> {
    return inTransaction(this.client, write);
  }

  /** Calls `onChange` after each change of a migration that {@link notifyChange} announces, until the session ends. */
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
    if (!isEmpty || this.database !== recordsDatabase) return;
    await this.close();
    await dropOwnDatabase(this.#address);
  }
}

/**
 * Runs the function with the store of a server, and closes it. The function receives undefined if nothing was ever
 * migrated into this server.
 *
 * @throws RefusedError, UnreachableError as `Store.find` does
 * @example const status = await withExistingStore(inputs, "crm status", (store) => store && readStatus(store, "crm"));
 */
export async function withExistingStore<T>(
  address: StoreAddress,
  purpose: string,
  run: (store: Store | undefined) => T | Promise<T>,
  check?: SessionCheck,
): Promise<T> {
  return withReason(async () => {
    const store = await Store.find(address, purpose, check);
    return closeAfter(store, () => run(store));
  });
}

/**
 * Runs the function with the store of a server, which is created if it is missing, and closes it.
 *
 * @throws RefusedError, UnreachableError as `Store.open` does
 * @example await withStore(inputs, "crm create", (store) => insertMigration(store, specOf(inputs), owner));
 */
export async function withStore<T>(
  address: StoreAddress,
  purpose: string,
  run: (store: Store) => Promise<T>,
  check?: SessionCheck,
): Promise<T> {
  return withReason(async () => {
    const store = await Store.open(address, purpose, check);
    return closeAfter(store, () => run(store));
  });
}

/** Adds context and remedy to the loss of any session of an operation. The error of the driver states neither. */
async function withReason<T>(operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    if (error instanceof MigrationError || !isConnectionLoss(error)) throw error;
    throw new UnreachableError(`a session with the source or the target was lost: ${messageOf(error)}`, {
      remedy: "check that both servers answer, and run this again: it continues where this operation ended",
      cause: error,
    });
  }
}

async function closeAfter<T>(store: Store | undefined, run: () => T | Promise<T>): Promise<T> {
  try {
    return await run();
  } finally {
    await store?.close();
  }
}

/** Another session may lock the records for a long time. The wait is reported every 30 s. */
const openSession = ({ target }: StoreAddress, database: string, purpose: string): Promise<pg.Client> =>
  connect(target, {
    // The tasks of a worker share a session, so that each would wait for the round trips of all others.
    ...{ database, purpose, bookkeeping: true, pipeline: true },
    onBlocked: (by) => log.warn(`${purpose}: another session locks the target's migration records; ${by}`),
  });

/** Adds context and remedy to an error of the server or the socket. */
const recordsLost = (error: unknown): unknown =>
  error instanceof UnreachableError
    ? error
    : new UnreachableError(`the session with the target, which records the migration, was lost: ${messageOf(error)}`, {
        remedy: "check that the target answers, and run this again: the records stay, and a running worker continues",
        cause: error,
      });
