import type { Client } from "pg";
import { emptyTarget } from "../../copy/copy-table.js";
import type { TableToCopy } from "../../copy/tables-to-copy.js";
import { RefusedError } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import { qualify } from "../../postgres/identifiers.js";
import { isSameServer } from "../../postgres/connection/same-server.js";
import { listTables } from "../../postgres/tables.js";
import { withTwoSessions } from "../../postgres/connection/two-sessions.js";
import {
  createTargetDatabase,
  dropTargetDatabase,
  isNameTaken,
  readDatabaseProperties,
} from "../../schema/database/database.js";
import type { RestoreFinding } from "../../schema/sql/restore-findings.js";
import type { DatabaseRecord } from "../../store/records.js";
import type { Work } from "../context/work.js";

/** Makes the empty database to restore into, in the place of one that an earlier try has left or that may be overwritten. */
export function createDatabase(work: Work, record: DatabaseRecord): Promise<RestoreFinding[]> {
  const { spec, source, target } = work;
  const purpose = `${spec.migrationName} create`;
  return withTwoSessions(
    () => connect(target, { database: spec.maintenanceDatabase, purpose }),
    () => connect(source, { database: record.name, purpose }),
    (maintenance, from) => create(work, record, maintenance, from),
  );
}

async function create(
  work: Work,
  record: DatabaseRecord,
  maintenance: Client,
  from: Client,
): Promise<RestoreFinding[]> {
  const { name, targetName } = record;
  await dropExisting(work, record, maintenance, from);
  await work.journal.database(name, { creation: "begun" });
  const properties = await readDatabaseProperties(from);
  const createNow = (): Promise<RestoreFinding[]> => createTargetDatabase(maintenance, targetName, properties);
  const findings = await createNow().catch(async (error: unknown) => {
    if (!record.beingCreated || !isNameTaken(error)) throw error;
    // By the try before: its connection was lost, and the server has come to the end of it just now.
    await dropExisting(work, record, maintenance, from);
    return createNow();
  });
  await work.journal.database(name, { creation: "done" });
  return findings;
}

/** @throws RefusedError where it is not ours to drop */
async function dropExisting(work: Work, record: DatabaseRecord, maintenance: Client, from: Client): Promise<void> {
  const { name, targetName } = record;
  const { rowCount } = await maintenance.query("SELECT FROM pg_database WHERE datname = $1", [targetName]);
  if (rowCount === 0) return;
  if (!work.spec.overwriteDbsInTarget && !(await isOurs(work, record)))
    throw new RefusedError(`the database ${targetName} exists on the target already`, {
      code: "603101",
      remedy: "set overwriteDbsInTarget to true to replace it, or drop it on the target",
    });
  if (await isSameServer(from, maintenance))
    throw new RefusedError(`source and target are the same server, so ${targetName} is not dropped`, {
      remedy: "name another server as target; two names may lead to one server",
    });
  const why = record.createdByUs
    ? ": the snapshot of the earlier attempt has ended, so its rows cannot be completed, and all are copied again"
    : "";
  await work.journal.event(`dropping the database ${targetName} on the target${why}`, { database: name });
  await dropTargetDatabase(maintenance, targetName);
}

/** Made by an earlier try, or about to be made when its worker died: then it has nothing in it. */
async function isOurs({ target }: Work, { targetName, createdByUs, beingCreated }: DatabaseRecord): Promise<boolean> {
  if (createdByUs || !beingCreated) return createdByUs;
  const client = await connect(target, { database: targetName, purpose: "look for tables" });
  try {
    return (await listTables(client)).length === 0;
  } finally {
    await client.end();
  }
}

/**
 * Sees to it that rows can be copied into tables that are there already, and removes the rows that they have.
 *
 * @throws RefusedError naming tables and columns that are missing, or tables with rows that may not be replaced
 */
export async function prepareExistingTables(work: Work, target: Client, tables: readonly TableToCopy[]): Promise<void> {
  const there = new Map((await listTables(target)).map((table) => [qualify(table.schema, table.name), table]));
  const missing = tables.flatMap(({ table }) => {
    const name = qualify(table.schema, table.name);
    const columns = new Set(there.get(name)?.columns.map((column) => column.name));
    if (columns.size === 0 && !there.has(name)) return [name];
    return table.columns.flatMap((column) => (columns.has(column.name) ? [] : [`${name}.${column.name}`]));
  });
  if (missing.length > 0)
    throw new RefusedError(`dataOnly needs the tables on the target, which lacks ${missing.slice(0, 10).join(", ")}`, {
      remedy: "migrate with schemaOnly first, or leave dataOnly out",
    });
  const filled: string[] = [];
  for (const { table } of tables) {
    const name = qualify(table.schema, table.name);
    if (((await target.query(`SELECT FROM ONLY ${name} LIMIT 1`)).rowCount ?? 0) > 0) filled.push(name);
  }
  if (filled.length > 0 && !work.spec.overwriteDbsInTarget)
    throw new RefusedError(`these tables have rows on the target already: ${filled.slice(0, 10).join(", ")}`, {
      code: "603101",
      remedy: "set overwriteDbsInTarget to true to replace their rows, or empty them",
    });
  for (const { table, condition } of tables) if (condition === undefined) await emptyTarget(target, table);
}
