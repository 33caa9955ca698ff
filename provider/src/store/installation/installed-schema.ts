import type pg from "pg";
import { RefusedError } from "../../errors.js";
import { recordsDatabase } from "../../inputs/maintenance-database.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { quoteIdentifier, quoteLiteral } from "../../postgres/identifiers.js";
import { controlSchema, createControlSchema, refuseUntrustedSchema } from "../../postgres/schema-trust.js";
import { inTransaction } from "../../postgres/transaction.js";
import { controlSchemaSteps } from "./control-schema.js";
import { takeInstallLock } from "./schema-locks.js";

/**
 * {@link installedSteps} of the records in this database; undefined without records. All checks are sent at once, and their results
 * count in this order.
 *
 * @throws RefusedError if the records are not open to this role, or not safe to use
 */
export async function lookForRecords(client: pg.Client): Promise<number | undefined> {
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

export async function hasControlSchema(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ found: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                     WHERE n.nspname = 'pgmigration' AND c.relname = 'migration'
                       AND has_schema_privilege(n.oid, 'USAGE')) AS found`,
  );
  return rows[0]!.found;
}

export async function mayCreateSchema(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ may: boolean }>(
    "SELECT has_database_privilege(current_database(), 'CREATE') AS may",
  );
  return rows[0]!.may;
}

export async function bringUpToDate(client: pg.Client): Promise<void> {
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
export async function installedSteps(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ comment: string | null }>(
    "SELECT obj_description(oid, 'pg_namespace') AS comment FROM pg_namespace WHERE nspname = $1",
    [controlSchema],
  );
  return Number(/version (\d+)$/.exec(rows[0]?.comment ?? "")?.[1] ?? 0);
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
