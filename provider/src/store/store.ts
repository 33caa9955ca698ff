import type pg from "pg";
import { log } from "../log.js";
import { MigrationError, RefusedError, UnreachableError, messageOf } from "../errors.js";
import { recordsDatabase, usualMaintenanceDatabase } from "../inputs/maintenance-database.js";
import { connect, isMissingDatabase } from "../postgres/connection/connect.js";
import { withSession } from "../postgres/connection/with-session.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import { quoteIdentifier, quoteLiteral } from "../postgres/identifiers.js";
import { connectionErrorOf } from "../postgres/connection/session.js";
import { sqlStateOf, sqlStates } from "../postgres/sql-state.js";
import { inTransaction } from "../postgres/transaction.js";
import { takeAdvisoryLock } from "./advisory-lock.js";
import { controlSchema, createControlSchema, refuseUntrustedSchema } from "../postgres/schema-trust.js";
import { controlSchemaSteps } from "./control-schema.js";

/** A target, and its database with the records. */
export interface StoreAddress {
  readonly target: Endpoint;
  readonly maintenanceDatabase: string;
}

/** Refuses a session before it reads or writes anything. */
export type SessionCheck = (client: pg.Client) => Promise<void>;

const accept: SessionCheck = () => Promise.resolve();

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
    const maintenance = await connect(this.#address.target, {
      database: existingDatabase(this.#address),
      purpose: "remove store",
      bookkeeping: true,
    });
    try {
      const own = await maintenance.query(
        "SELECT FROM pg_database WHERE datname = $1 AND shobj_description(oid, 'pg_database') = $2",
        [recordsDatabase, databaseMark],
      );
      if (own.rowCount !== 0) await maintenance.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(recordsDatabase)}`);
    } catch (error) {
      // Another session is about to record a migration.
      if (sqlStateOf(error) !== sqlStates.objectInUse) throw error;
    } finally {
      await maintenance.end();
    }
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

/** Whether the records are in a database of their own, because the migration replaces the usual one. */
const hasOwnDatabase = ({ maintenanceDatabase }: StoreAddress): boolean => maintenanceDatabase === recordsDatabase;

/** The database from which `recordsDatabase` is created and dropped. */
export const existingDatabase = (address: StoreAddress): string =>
  hasOwnDatabase(address) ? usualMaintenanceDatabase : address.maintenanceDatabase;

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

/**
 * Without this check, records that the role may no longer use would look like removed ones. It ignores the store of another
 * role, if this role could have a store in a separate database.
 *
 * @throws RefusedError naming the missing privilege, or the owner who is not trusted
 */
async function requireOpenStore(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ user: string; owner: string; database: string }>(
    `SELECT current_user AS "user", pg_catalog.pg_get_userbyid(nspowner) AS owner, current_database() AS database
       FROM pg_catalog.pg_namespace n
      WHERE nspname = $1 AND NOT has_schema_privilege(n.oid, 'USAGE')
        AND (pg_has_role(nspowner, 'USAGE')
          OR EXISTS (
              SELECT FROM pg_catalog.pg_class c WHERE relnamespace = n.oid AND has_table_privilege(c.oid, 'SELECT'))
          OR has_database_privilege(current_database(), 'CREATE')
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $2))`,
    [controlSchema, recordsDatabase],
  );
  const [closed] = rows;
  if (!closed) return;
  await refuseUntrustedSchema(client);
  const { user, owner, database } = closed;
  const grantee = quoteIdentifier(user);
  throw new RefusedError(
    `${user} lacks USAGE on the schema ${controlSchema} in the target's database ${database}, which contains the records of migrations`,
    {
      remedy:
        `as ${owner}, in ${database}: GRANT USAGE ON SCHEMA ${controlSchema} TO ${grantee}; ` +
        `GRANT ALL ON ALL TABLES IN SCHEMA ${controlSchema} TO ${grantee}; GRANT ALL ON ALL SEQUENCES IN SCHEMA ${controlSchema} TO ${grantee}`,
      code: "PGM-308",
    },
  );
}

/**
 * {@link installedSteps} of the records in this database; undefined without records. All checks are sent at once, and their results
 * count in this order.
 *
 * @throws RefusedError if the records are not open to this role, or not safe to use
 */
async function lookForRecords(client: pg.Client): Promise<number | undefined> {
  const checks = [
    requireOpenStore(client),
    hasControlSchema(client),
    refuseUntrustedSchema(client),
    installedSteps(client),
  ] as const;
  await Promise.allSettled(checks);
  const [isOpen, exists, isTrusted, installed] = checks;
  await isOpen;
  if (!(await exists)) return undefined;
  await isTrusted;
  return installed;
}

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

/** Distinguishes the database from one of the user with this name, which must never be dropped. */
const databaseMark = "created by pulumi-pg-migration for the records of migrations";

async function createOwnDatabase(client: pg.Client, user: string): Promise<void> {
  const { rowCount } = await client.query("SELECT FROM pg_database WHERE datname = $1", [recordsDatabase]);
  if (rowCount !== 0) return;
  try {
    await client.query(`CREATE DATABASE ${quoteIdentifier(recordsDatabase)}`);
    await client.query(`COMMENT ON DATABASE ${quoteIdentifier(recordsDatabase)} IS ${quoteLiteral(databaseMark)}`);
  } catch (cause) {
    throw new RefusedError(`the migration's control schema cannot be created on the target: ${messageOf(cause)}`, {
      remedy: `ALTER ROLE ${quoteIdentifier(user)} CREATEDB, or GRANT CREATE ON DATABASE postgres TO ${quoteIdentifier(user)}`,
      code: "603709",
      cause,
    });
  }
}

async function bringUpToDate(client: pg.Client): Promise<void> {
  await inTransaction(client, async () => {
    await takeInstallLock(client);
    const installed = await installedSteps(client);
    if (installed > controlSchemaSteps.length)
      throw new RefusedError(`the records on the target were created by a newer version of pulumi-pg-migration`, {
        remedy: "npm install pulumi-pg-migration@latest in this program",
      });
    if (installed === 0) await client.query(createControlSchema);
    // Another role may have created it meanwhile.
    await refuseUntrustedSchema(client);
    const mark = `COMMENT ON SCHEMA ${controlSchema} IS ${quoteLiteral(versionMark(controlSchemaSteps.length))}`;
    await client.query([...controlSchemaSteps.slice(installed), mark].join(";\n"));
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
 * Whether a database contains records of migrations, so that it must not be replaced.
 *
 * @throws RefusedError when another role created what looks like records
 * @example if (await hasRecords(target, "postgres")) throw new RefusedError("...");
 */
export const hasRecords = (target: Endpoint, database: string): Promise<boolean> =>
  withSession(target, { database, purpose: "look for records" }, async (client) => {
    const { rows } = await client.query<{ exists: boolean; readable: boolean | null }>(
      `SELECT count(*) > 0 AS exists,
              bool_and(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')) AS readable
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = 'migration'`,
      [controlSchema],
    );
    const { exists, readable } = rows[0]!;
    // Records that this role cannot read belong to another role.
    if (!exists || !readable) return exists;
    await refuseUntrustedSchema(client);
    return (await client.query("SELECT FROM pgmigration.migration LIMIT 1")).rowCount !== 0;
  });

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
