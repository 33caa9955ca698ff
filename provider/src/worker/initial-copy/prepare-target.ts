import type { Client } from "pg";
import { markUnfinished } from "../../cdc/target/progress.js";
import { emptyTarget } from "../../copy/copy-table.js";
import type { TableToCopy } from "../../copy/tables-to-copy.js";
import { RefusedError, TakenOverError } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { tablesWithRows } from "../../postgres/tables-with-rows.js";
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
import { refuseUsedDatabases } from "../../schema/database/used-databases.js";
import type { RestoreFinding } from "../../schema/sql/restore-findings.js";
import type { DatabaseProperties } from "../../schema/database/database-properties.js";
import { fenceSetting } from "../../cutover/fence.js";
import type { FenceRecord } from "../../store/fence-record.js";
import { readDatabases, type DatabaseRecord } from "../../store/records.js";
import { hasRecords } from "../../store/installation/installed-schema.js";
import type { Work } from "../context/work.js";
import { refuseHandedOver } from "./retry/refuse-handed-over.js";

/** Creates the empty target database. Replaces that of an earlier attempt, or one that may be overwritten. */
export function createDatabase(work: Work, record: DatabaseRecord): Promise<RestoreFinding[]> {
  const { spec, source, target } = work;
  const purpose = `${spec.migrationName} create`;
  return withTwoSessions(
    () => connect(target, { database: spec.maintenanceDatabase, purpose }),
    () => connect(source, { database: record.name, purpose }),
    (maintenance, onSource) => create(work, record, maintenance, onSource),
  );
}

async function create(
  work: Work,
  record: DatabaseRecord,
  maintenance: Client,
  source: Client,
): Promise<RestoreFinding[]> {
  const { name, targetName } = record;
  await dropExisting(work, name, maintenance, source);
  const [onSource] = await Promise.all([
    readDatabaseProperties(source),
    work.journal.database(name, { creation: "begun" }),
  ]);
  const properties = beforeFence(onSource, record.fences.source);
  const createNow = async (): Promise<RestoreFinding[]> => {
    const created = await createTargetDatabase(maintenance, targetName, properties);
    await mark(work, targetName);
    return created;
  };
  const findings = await createNow().catch(async (error: unknown) => {
    if (!record.beingCreated || !isNameTaken(error)) throw error;
    // The earlier attempt lost its connection, and the server has completed its CREATE DATABASE just now.
    await dropExisting(work, name, maintenance, source);
    return createNow();
  });
  await work.journal.database(name, { creation: "done" });
  return findings;
}

function mark({ spec: { migrationName }, target }: Work, database: string): Promise<void> {
  const place = { database, purpose: `${migrationName} create` };
  return withSession(target, place, (session) => markUnfinished(session, migrationName));
}

/** The database's properties before the migration raised its fence, which must not fence the target. */
function beforeFence(properties: DatabaseProperties, fence: FenceRecord | undefined): DatabaseProperties {
  if (!fence) return properties;
  const replaced = [{ role: undefined, setting: fence.database }, ...fence.roles];
  const settings = properties.settings.filter(({ name }) => name !== fenceSetting);
  for (const { role, setting } of replaced)
    if (setting !== null) settings.push({ role, name: fenceSetting, value: setting });
  return { ...properties, settings };
}

/** @throws RefusedError if an existing database may not be dropped */
async function dropExisting(work: Work, name: string, maintenance: Client, source: Client): Promise<void> {
  // Read again: the copy may have waited for hours, and another database may have the name since.
  const [record] = await readDatabases(work.journal.lease.records, work.spec.migrationName, name);
  if (!record) throw new TakenOverError(`the record of the database ${name} was removed`);
  const { targetName } = record;
  const { rows } = await maintenance.query<{ datallowconn: boolean }>(
    "SELECT datallowconn FROM pg_database WHERE datname = $1",
    [targetName],
  );
  if (rows.length === 0) return;
  if (!work.spec.overwriteDbsInTarget && !(await isOurs(work, record)))
    throw new RefusedError(`the database ${targetName} already exists on the target`, {
      code: "603101",
      remedy: "set overwriteDbsInTarget to true to replace it, or drop it on the target",
    });
  if (await isSameServer(source, maintenance))
    throw new RefusedError(`source and target are the same server, so ${targetName} is not dropped`, {
      remedy: "set another server as target; two host names may denote the same server",
    });
  if (rows[0]!.datallowconn && (await hasRecords(work.target, targetName)))
    throw new RefusedError(`the database ${targetName} on the target contains the records of other migrations`, {
      remedy: `delete those migrations first; list them with pg-migration list --filter All --maintenance-database ${targetName}`,
    });
  await refuseHandedOver(work, record);
  if (!record.createdByUs) await refuseUsedDatabases(maintenance, [targetName]);
  const why =
    record.createdByUs && !record.sharedCopy
      ? ": the snapshot of the earlier attempt has ended, so its rows cannot be completed, and all are copied again"
      : "";
  await work.journal.event(`dropping the database ${targetName} on the target${why}`, { database: name });
  await dropTargetDatabase(maintenance, targetName);
}

/** Whether an earlier attempt created the database. If its worker died during the creation, the database is empty. */
async function isOurs({ target }: Work, { targetName, createdByUs, beingCreated }: DatabaseRecord): Promise<boolean> {
  if (createdByUs || !beingCreated) return createdByUs;
  return withSession(
    target,
    { database: targetName, purpose: "look for tables" },
    async (session) => (await listTables(session)).length === 0,
  );
}

/**
 * Checks that existing tables can receive the rows, and removes their rows.
 *
 * @throws RefusedError with the missing tables and columns, or the tables with rows that may not be replaced
 */
export async function prepareExistingTables(work: Work, target: Client, tables: readonly TableToCopy[]): Promise<void> {
  const existing = new Map((await listTables(target)).map((table) => [qualify(table.schema, table.name), table]));
  const missing = tables.flatMap(({ table }) => {
    const name = qualify(table.schema, table.name);
    const columns = new Set(existing.get(name)?.columns.map((column) => column.name));
    if (columns.size === 0 && !existing.has(name)) return [name];
    return table.columns.flatMap((column) => (columns.has(column.name) ? [] : [`${name}.${column.name}`]));
  });
  if (missing.length > 0)
    throw new RefusedError(
      `dataOnly requires existing tables; missing on the target: ${missing.slice(0, 10).join(", ")}`,
      {
        remedy: "migrate with schemaOnly first, or remove dataOnly",
      },
    );
  const found = await tablesWithRows(
    target,
    tables.map(({ table }) => table),
  );
  const filled = found.map(({ schema, name }) => qualify(schema, name));
  if (filled.length > 0 && !work.spec.overwriteDbsInTarget)
    throw new RefusedError(`these tables already have rows on the target: ${filled.slice(0, 10).join(", ")}`, {
      code: "PGM-305",
      remedy: "set overwriteDbsInTarget to true to replace their rows, or empty them",
    });
  for (const { table, condition } of tables) if (condition === undefined) await emptyTarget(target, table);
}
