import type { Client } from "pg";
import { type ChangeCaptureNames, rollbackNames, rollbackProgress } from "../../cdc/model/names.js";
import { rollbackRoles } from "../../cdc/model/stream-roles.js";
import { createPublications, requireOwnPublications } from "../../cdc/source/publication.js";
import { createSlot } from "../../cdc/source/slot.js";
import { initProgress } from "../../cdc/target/progress.js";
import { RefusedError } from "../../errors.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { connect } from "../../postgres/connection/connect.js";
import { withTwoSessions } from "../../postgres/connection/two-sessions.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { qualify } from "../../postgres/identifiers.js";
import { type Table, listTables } from "../../postgres/tables.js";
import type { DatabaseRecord } from "../../store/records.js";
import { replicaTriggerGaps } from "../../validation/replication/replica-triggers.js";
import { rollbackGaps, rolesToTrust } from "../../validation/replication/rollback.js";
import { placesOf, removeRollback } from "../cleanup/rollback-objects.js";
import { tablesInScope } from "../context/tables-in-scope.js";
import type { Work } from "../context/work.js";
import { type RollbackTables, pairRollbackTables } from "./rollback-tables.js";

/**
 * Starts the rollback replication: every later write on the target is applied to the source. Applications must not write
 * on the target before. Replaces the objects of an earlier attempt.
 *
 * @returns the tables whose changes it applies
 * @throws RefusedError if a server refuses
 */
export async function openRollback(
  work: Work,
  { name, targetName }: Pick<DatabaseRecord, "name" | "targetName">,
): Promise<RollbackTables> {
  const { spec, source, target, journal, generation, signal } = work;
  await requireRollback(work, name);
  await journal.database(name, { message: "starting the rollback replication" });
  await journal.rollbackReplication(name, { state: "opening" });
  await removeRollback(placesOf(work, { name, targetName }));
  const names = rollbackNames(spec, name);
  const purpose = `${spec.migrationName} rollback`;
  const tables = await withSession(source, { database: name, purpose }, async (session) => {
    await journal.findings(await rolesToTrust(session, name, spec));
    const published = await publish(work, { name, targetName }, session);
    const { release, ...slot } = await createSlot({
      source: target,
      database: targetName,
      slot: names.slot,
      plugin: "pgoutput",
      publisher: rollbackRoles.publisher,
      signal,
    });
    await release();
    await initProgress(session, rollbackProgress(spec.migrationName), generation, slot);
    return published;
  });
  await journal.event("new writes on the target are now applied to the source", { database: name });
  return tables;
}

/** Checks before a cutover whether a rollback replication is possible. @throws RefusedError with all problems */
export async function requireRollback({ spec, source, target }: Work, database: string): Promise<void> {
  const purpose = `${spec.migrationName} rollback`;
  const gaps = await withTwoSessions(
    () => connect(target, { database: spec.maintenanceDatabase, purpose }),
    () => connect(source, { database, purpose }),
    async (targetSession, sourceSession) => [
      ...(await rollbackGaps(sourceSession, targetSession, spec)),
      ...(await replicaTriggerGaps(sourceSession, spec)),
    ],
  );
  if (gaps.length === 0) return;
  throw new RefusedError(
    `cannot keep a rollback replication for ${database}: ${gaps.map(({ message }) => message).join("; ")}`,
    {
      remedy: `${gaps.map(({ remedy }) => remedy).join("; ")}; or set rollback to drop`,
    },
  );
}

/** Publishes the tables that exist on both servers. Keyless tables get REPLICA IDENTITY FULL. */
async function publish(
  { spec, target }: Work,
  { name, targetName }: Pick<DatabaseRecord, "name" | "targetName">,
  source: Client,
): Promise<RollbackTables> {
  const purpose = `${spec.migrationName} publish`;
  return withSession(target, { database: targetName, purpose }, async (session) => {
    const onSource = await replicatedTables(source, spec);
    const replicated = namesOf(onSource);
    const tables = (await listTables(session)).filter(
      (table) => !table.extensionConfiguration && replicated.has(qualify(table.schema, table.name)),
    );
    const names = rollbackNames(spec, name);
    await createPublications(session, names, tables, { keyless: "full" });
    await requireOwnPublications(session, names);
    return pairRollbackTables(tables, onSource);
  });
}

/** Qualified names of the source's tables that are replicated. */
export const replicatedNames = async (source: Client, spec: MigrationSpec): Promise<Set<string>> =>
  namesOf(await replicatedTables(source, spec));

const replicatedTables = async (source: Client, spec: MigrationSpec): Promise<Table[]> =>
  (await tablesInScope(source, spec)).filter(({ unlogged }) => !unlogged);

const namesOf = (tables: readonly Table[]): Set<string> =>
  new Set(tables.map(({ schema, name }) => qualify(schema, name)));

export const publicationsOf = ({ publication, insertOnlyPublication }: ChangeCaptureNames): string[] => [
  publication,
  insertOnlyPublication,
];
