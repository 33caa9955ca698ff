import type { FenceRecord, FenceSide } from "./fence-record.js";
import type { MigrationSpec } from "../inputs/inputs.js";
import { waitsBeforeTheStart, type DatabaseState, type MigrationState, type OnlineVerification } from "../status.js";
import { targetDatabase } from "../inputs/target-database.js";
import { isReportedAgain, withdrawFindings } from "./history/earlier-findings.js";
import { recordedOwner, type RecordOwner } from "./record-owner.js";
import { requireSpec } from "./recorded-spec.js";
import { isLeftByFailure, type SharedCopy } from "./shared-copies.js";
import type { Store } from "./store.js";

/** The phase of a database, from which a successor resumes. */
export type DatabasePhase =
  /** Nothing is on the target, or only what the next attempt drops. */
  | "queued"
  | "copying"
  /** Online: the initial copy is complete, and the progress row has the applied LSN. */
  | "following"
  /** Cut over, or copied offline, and verified: the database is handed over, and slot and publication are dropped. */
  | "completing"
  /** Cut over; changes of the target are applied to the source. */
  | "rollingBack"
  /** The source has all changes of the target and is primary again. The rollback replication is being removed. */
  | "returned"
  /** Canceled by the user or by `maxRetainedWal`. Its objects on the source are being removed, or were removed. */
  | "canceled"
  | "done";

/** Whether the target has the whole database. Online, applications use it since the cutover. */
export const isComplete = (phase: string): boolean => ["rollingBack", "returned", "done"].includes(phase);

export interface MigrationRecord {
  readonly name: string;
  readonly spec: MigrationSpec;
  readonly state: MigrationState;
  readonly error: string | undefined;
  readonly generation: number;
  /** Start of the migration. Distinguishes it from other migrations of the same name, on any target. */
  readonly startedAt: string;
  readonly startedOn: Date;
  readonly endedOn: Date | undefined;
  readonly owner: RecordOwner | undefined;
}

export interface DatabaseRecord {
  readonly name: string;
  /** Name of the database on the target. */
  readonly targetName: string;
  readonly phase: DatabasePhase;
  readonly state: DatabaseState;
  /** The migration created the target database. Its next attempt may drop it until it is handed over. */
  readonly createdByUs: boolean;
  /** The target database was created by others, after `overwriteDbsInTarget` was set. */
  readonly isCreatedLater: boolean;
  /** An earlier attempt was about to create the target database. An empty one may be its work. */
  readonly beingCreated: boolean;
  /** Slot on the source that is not dropped yet. */
  readonly slot: string | undefined;
  readonly publications: readonly string[];
  /** Whether the target may have a slot, and the source progress records. */
  readonly hasRollbackReplication: boolean;
  /** The last verification of an online migration. */
  readonly verification: OnlineVerification | undefined;
  /** What the worker of the copy left until after the cutover, or offline until the end; the worker defines the format. */
  readonly deferredPlan: unknown;
  /** What the fences replaced. Recorded before a fence is raised until after it is removed. */
  readonly fences: Readonly<Record<FenceSide, FenceRecord | undefined>>;
  /** The initial copy of an earlier worker that can be continued. */
  readonly sharedCopy: SharedCopy | undefined;
}

/** Whether its removal needs the source. */
export const hasObjectsOnSource = ({ slot, publications, fences, hasRollbackReplication }: DatabaseRecord): boolean =>
  slot !== undefined || publications.length > 0 || fences.source !== undefined || hasRollbackReplication;

/** @throws DamagedRecordError when its spec is damaged */
export async function readMigration(store: Store, name: string): Promise<MigrationRecord | undefined> {
  const row = await readRow(store, name);
  return row && { ...withoutSpec(row), spec: requireSpec(name, row.spec) };
}

/** What the removal of a migration needs. Also reads a record with a damaged spec. */
export async function readMigrationState(
  store: Store,
  name: string,
): Promise<Omit<MigrationRecord, "spec"> | undefined> {
  const row = await readRow(store, name);
  return row && withoutSpec(row);
}

interface MigrationRow {
  readonly name: string;
  readonly spec: unknown;
  readonly state: MigrationState;
  readonly error: string | null;
  readonly generation: string;
  readonly startedAt: string;
  readonly startedOn: Date;
  readonly endedOn: Date | null;
  readonly owner: unknown;
}

async function readRow(store: Store, name: string): Promise<MigrationRow | undefined> {
  const [row] = await store.query<MigrationRow>(
    `SELECT name, spec, state, error, generation, started_at::text AS "startedAt", started_at AS "startedOn",
            ended_at AS "endedOn", owner
       FROM pgmigration.migration WHERE name = $1`,
    [name],
  );
  return row;
}

const withoutSpec = ({ spec: _spec, ...row }: MigrationRow): Omit<MigrationRecord, "spec"> => ({
  ...row,
  error: row.error ?? undefined,
  generation: Number(row.generation),
  endedOn: row.endedOn ?? undefined,
  owner: recordedOwner(row.owner),
});

/** OID of the target's database of this name; null without one. */
const presentOid = (name: string): string => `(SELECT oid::int8 FROM pg_database WHERE datname = ${name})`;

/** @param database only this one; by default all */
export async function readDatabases(
  store: Pick<Store, "query">,
  migration: string,
  database?: string,
): Promise<DatabaseRecord[]> {
  const rows = await store.query<{
    name: string;
    target_name: string;
    phase: DatabasePhase;
    state: DatabaseState;
    created_by_us: boolean;
    is_created_later: boolean;
    being_created: boolean;
    slot: string | null;
    publications: string[];
    deferred_plan: unknown;
    verification: OnlineVerification | null;
    fence: FenceRecord | null;
    target_fence: FenceRecord | null;
    shared_copy: SharedCopy | null;
    has_rollback_replication: boolean;
  }>(
    `SELECT name, target_name, phase, state, being_created, slot, publications, deferred_plan, verification, fence, target_fence, shared_copy,
            rollback_replication IS NOT NULL AS has_rollback_replication,
            -- Compared by OID: another database of that name may exist meanwhile.
            coalesce(${presentOid("target_name")} = target_oid, false) AS created_by_us,
            coalesce(${presentOid("target_name")} NOT IN (coalesce(target_oid, 0), coalesce(overwritable_oid, 0)), false) AS is_created_later
       FROM pgmigration.database WHERE migration = $1 AND ($2::text IS NULL OR name = $2) ORDER BY name`,
    [migration, database ?? null],
  );
  return rows.map((row) => ({
    name: row.name,
    targetName: row.target_name,
    phase: row.phase,
    state: row.state,
    createdByUs: row.created_by_us,
    isCreatedLater: row.is_created_later,
    beingCreated: row.being_created,
    slot: row.slot ?? undefined,
    publications: row.publications,
    deferredPlan: row.deferred_plan,
    verification: row.verification ?? undefined,
    fences: { source: row.fence ?? undefined, target: row.target_fence ?? undefined },
    sharedCopy: row.shared_copy ?? undefined,
    hasRollbackReplication: row.has_rollback_replication,
  }));
}

/** Records a new spec. Returns false if a migration of that name exists. */
export async function insertMigration(store: Store, spec: MigrationSpec, owner?: RecordOwner): Promise<boolean> {
  const rows = await store.query(
    `WITH migration AS (
       INSERT INTO pgmigration.migration (name, spec, owner) VALUES ($1, $2, $5) ON CONFLICT (name) DO NOTHING RETURNING name
     ), database AS (
       INSERT INTO pgmigration.database (migration, name, target_name, overwritable_oid)
       SELECT migration.name, wanted.name, wanted.target, ${presentOid("wanted.target")} FROM migration, unnest($3::text[], $4::text[]) AS wanted (name, target)
     )
     SELECT name FROM migration`,
    [spec.migrationName, JSON.stringify(spec), spec.dbsToMigrate, targetNames(spec), owner && JSON.stringify(owner)],
  );
  return rows.length === 1;
}

const targetNames = (spec: MigrationSpec): string[] =>
  spec.dbsToMigrate.map((database) => targetDatabase(spec, database));

/** `overwriteDbsInTarget` concerns the databases that exist when it is set. Applications may use a later one. */
async function allowOverwrite(store: Store, { migrationName, overwriteDbsInTarget }: MigrationSpec): Promise<void> {
  if (!overwriteDbsInTarget) return;
  await store.query(
    `UPDATE pgmigration.database SET overwritable_oid = ${presentOid("target_name")}
      WHERE migration = $1
        AND (SELECT spec ->> 'overwriteDbsInTarget' IS DISTINCT FROM 'true' FROM pgmigration.migration WHERE name = $1)`,
    [migrationName],
  );
}

/**
 * A cancellation leaves the database on the target to the user, so that it is no longer a database of this migration. When the
 * cancellation is withdrawn, `overwriteDbsInTarget` concerns this database.
 */
const leftByCancel = `target_oid = CASE WHEN phase = 'canceled' THEN NULL ELSE target_oid END,
  being_created = being_created AND phase <> 'canceled',
  overwritable_oid = CASE WHEN phase = 'canceled' THEN ${presentOid("target_name")} ELSE overwritable_oid END`;

/**
 * Prepares another attempt while no worker holds the lease. Followed databases and databases that were canceled
 * individually keep their phase. All others restart from scratch, or use the rows of the failed attempt. Findings that
 * the attempt may report again are withdrawn. Its worker starts later, so the session of the former one is forgotten: otherwise
 * a pool would report it as lost.
 */
export async function restartMigration(store: Store, spec: MigrationSpec): Promise<void> {
  await allowOverwrite(store, spec);
  await store.query(
    `WITH migration AS (
       UPDATE pgmigration.migration
          SET spec = $2, spec_revision = spec_revision + 1, state = 'InProgress', sub_state = 'PerformingPreRequisiteSteps', error = NULL, ended_at = NULL,
              generation = generation + 1, worker = worker - 'backendPid'
        WHERE name = $1
     ), gone AS (
       DELETE FROM pgmigration.database
        WHERE migration = $1 AND name <> ALL ($3::text[]) AND slot IS NULL AND fence IS NULL AND target_fence IS NULL
          AND rollback_replication IS NULL
     ), begun AS (
       INSERT INTO pgmigration.state_change (migration, state, sub_state)
       VALUES ($1, 'InProgress', 'PerformingPreRequisiteSteps')
     ), ${withdrawFindings(isReportedAgain, "attempt")}, again AS (
       UPDATE pgmigration.database SET state = 'InProgress', message = NULL, ended_at = NULL,
              shared_copy = CASE WHEN ${isLeftByFailure} THEN shared_copy END,
              copy_state = CASE WHEN ${isLeftByFailure} THEN copy_state END,
              ${leftByCancel},
              phase = CASE WHEN phase = 'canceled' THEN 'queued' ELSE phase END
        WHERE migration = $1 AND phase <> 'done'
          -- All databases, if all were canceled.
          AND (phase <> 'canceled' OR (SELECT state FROM pgmigration.migration WHERE name = $1) = 'Canceled')
     )
     INSERT INTO pgmigration.database (migration, name, target_name, overwritable_oid)
     SELECT $1, wanted.name, wanted.target, ${presentOid("wanted.target")} FROM unnest($3::text[], $4::text[]) AS wanted (name, target)
     ON CONFLICT DO NOTHING`,
    [spec.migrationName, JSON.stringify(spec), spec.dbsToMigrate, targetNames(spec)],
  );
}

/** Restarts databases from scratch after their individual cancel was withdrawn, while no worker holds the lease. */
export async function reviveDatabases(store: Store, migration: string, databases: readonly string[]): Promise<void> {
  await store.query(
    `UPDATE pgmigration.database SET phase = 'queued', state = 'InProgress', message = NULL, ended_at = NULL, ${leftByCancel}
      WHERE migration = $1 AND name = ANY ($2) AND phase = 'canceled'`,
    [migration, databases],
  );
}

/**
 * Prepares replicated databases for a copy from scratch, while no worker holds the lease and the source has no objects
 * for them.
 */
export async function recopyDatabases(store: Store, migration: string, databases: readonly string[]): Promise<void> {
  await store.query(
    `UPDATE pgmigration.database
        SET phase = 'queued', state = 'InProgress', message = NULL, ended_at = NULL, slot = NULL, publications = '{}'
      WHERE migration = $1 AND name = ANY ($2) AND phase = 'following'`,
    [migration, databases],
  );
}

/** Prepares failed databases for another attempt from their phase, while no worker holds the lease. */
export async function retryDatabases(store: Store, migration: string, databases: readonly string[]): Promise<void> {
  await store.query(
    `WITH told AS (UPDATE pgmigration.migration SET error = NULL WHERE name = $1)
     UPDATE pgmigration.database SET state = 'InProgress', message = NULL, ended_at = NULL
      WHERE migration = $1 AND name = ANY ($2) AND state = 'Failed'`,
    [migration, databases],
  );
}

/** Locks a migration's record until the end of the transaction, so that two changes do not overwrite each other. */
export async function lockMigration(store: Store, migration: string): Promise<void> {
  await store.query("SELECT FROM pgmigration.migration WHERE name = $1 FOR NO KEY UPDATE", [migration]);
}

/**
 * Replaces the spec while a worker continues. A wait that a property may release is ended; the worker waits again if
 * the spec does not suffice.
 */
export async function updateSpec(store: Store, spec: MigrationSpec): Promise<void> {
  await allowOverwrite(store, spec);
  await store.query(
    `WITH migration AS (
       UPDATE pgmigration.migration
          SET spec = $2, spec_revision = spec_revision + 1,
              state = CASE WHEN sub_state = ANY ($4::text[]) THEN 'InProgress' ELSE state END,
              sub_state = CASE WHEN sub_state = ANY ($4::text[]) THEN 'PerformingPreRequisiteSteps' ELSE sub_state END
        WHERE name = $1 RETURNING name
     )
     INSERT INTO pgmigration.database (migration, name, target_name, overwritable_oid)
     SELECT migration.name, wanted.name, wanted.target, ${presentOid("wanted.target")}
       FROM migration, unnest($3::text[], $5::text[]) AS wanted (name, target)
     ON CONFLICT DO NOTHING`,
    [spec.migrationName, JSON.stringify(spec), spec.dbsToMigrate, waitsBeforeTheStart, targetNames(spec)],
  );
}

/** Raises the generation, so that no running worker can write. */
export async function bumpGeneration(store: Store, migration: string): Promise<void> {
  await store.query("UPDATE pgmigration.migration SET generation = generation + 1 WHERE name = $1", [migration]);
}

export async function deleteMigration(store: Store, migration: string): Promise<void> {
  await store.query("DELETE FROM pgmigration.migration WHERE name = $1", [migration]);
}

/** Removes databases from the record. */
export async function forgetDatabases(store: Store, migration: string, databases: readonly string[]): Promise<void> {
  await store.query("DELETE FROM pgmigration.database WHERE migration = $1 AND name = ANY ($2)", [
    migration,
    databases,
  ]);
}

/** Records that the source has no more objects for a database. */
export async function forgetSourceObjects(store: Store, migration: string, database: string): Promise<void> {
  await store.query(
    "UPDATE pgmigration.database SET slot = NULL, publications = '{}' WHERE migration = $1 AND name = $2",
    [migration, database],
  );
}

/** Column of each fence's record. */
export const fenceColumns: Readonly<Record<FenceSide, string>> = { source: "fence", target: "target_fence" };

/** Records that a database's fence was removed. */
export async function forgetFence(store: Store, migration: string, database: string, side: FenceSide): Promise<void> {
  await store.query(`UPDATE pgmigration.database SET ${fenceColumns[side]} = NULL WHERE migration = $1 AND name = $2`, [
    migration,
    database,
  ]);
}

/** Records that the rollback replication of a database was removed on both servers. */
export async function forgetRollback(store: Store, migration: string, database: string): Promise<void> {
  await store.query("UPDATE pgmigration.database SET rollback_replication = NULL WHERE migration = $1 AND name = $2", [
    migration,
    database,
  ]);
}

/**
 * Target databases of other unfinished migrations into this server, with the name of such a migration. A failed one can resume
 * databases that it replicated. A migration that never had a worker does not count, because it may never start.
 */
export async function occupiedDatabases(store: Pick<Store, "query">, migration: string): Promise<Map<string, string>> {
  const rows = await store.query<{ database: string; migration: string }>(
    `SELECT d.target_name AS database, m.name AS migration
       FROM pgmigration.database d JOIN pgmigration.migration m ON m.name = d.migration
      WHERE m.name <> $1 AND m.spec ->> 'migrationOption' <> 'Validate'
        AND m.worker IS NOT NULL
        AND (m.state IN ('InProgress', 'WaitingForUserAction', 'CleaningUp')
          OR m.state = 'Failed' AND d.phase IN ('following', 'completing', 'rollingBack', 'returned'))
        AND d.target_name IN (SELECT target_name FROM pgmigration.database WHERE migration = $1)`,
    [migration],
  );
  return new Map(rows.map((row) => [row.database, row.migration]));
}
