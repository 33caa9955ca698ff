import type pg from "pg";
import { controlSchema } from "../../postgres/schema-trust.js";
import { inTransaction } from "../../postgres/transaction.js";
import { hasControlSchema } from "./installed-schema.js";
import { recordingLock, takeInstallLock } from "./schema-locks.js";

/**
 * Drops the schema if it is empty, and returns whether it did. It stays while another session is about to record a
 * migration.
 */
export async function dropEmptySchema(client: pg.Client): Promise<boolean> {
  return inTransaction(client, async () => {
    const { rows } = await client.query<{ alone: boolean }>("SELECT pg_try_advisory_xact_lock($1) AS alone", [
      recordingLock,
    ]);
    const isEmpty = rows[0]!.alone && (await isEmptySchema(client));
    if (isEmpty) await client.query(`DROP SCHEMA ${controlSchema} CASCADE`);
    return isEmpty;
  });
}

async function isEmptySchema(client: pg.Client): Promise<boolean> {
  await takeInstallLock(client);
  // Another session may have removed it meanwhile.
  if (!(await hasControlSchema(client))) return false;
  await client.query("LOCK TABLE pgmigration.migration IN ACCESS EXCLUSIVE MODE");
  return (await client.query("SELECT FROM pgmigration.migration LIMIT 1")).rowCount === 0;
}
