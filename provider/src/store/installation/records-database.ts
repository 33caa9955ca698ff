import type pg from "pg";
import { RefusedError, messageOf } from "../../errors.js";
import { recordsDatabase, usualMaintenanceDatabase } from "../../inputs/maintenance-database.js";
import { connect } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { quoteIdentifier, quoteLiteral } from "../../postgres/identifiers.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";

/** A target, and its database with the records. */
export interface StoreAddress {
  readonly target: Endpoint;
  readonly maintenanceDatabase: string;
}

/** Whether the records are in a database of their own, because the migration replaces the usual one. */
export const hasOwnDatabase = ({ maintenanceDatabase }: StoreAddress): boolean =>
  maintenanceDatabase === recordsDatabase;

/** The database from which `recordsDatabase` is created and dropped. */
export const existingDatabase = (address: StoreAddress): string =>
  hasOwnDatabase(address) ? usualMaintenanceDatabase : address.maintenanceDatabase;

/** Distinguishes the database from one of the user with this name, which must never be dropped. */
const databaseMark = "created by pulumi-pg-migration for the records of migrations";

export async function createOwnDatabase(client: pg.Client, user: string): Promise<void> {
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

/** Drops the database of the records, unless another session is about to record a migration. */
export async function dropOwnDatabase(address: StoreAddress): Promise<void> {
  const maintenance = await connect(address.target, {
    database: existingDatabase(address),
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
    if (sqlStateOf(error) !== sqlStates.objectInUse) throw error;
  } finally {
    await maintenance.end();
  }
}
