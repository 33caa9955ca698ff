import type {
  DatabaseDetails,
  DatabaseState,
  MigrationState,
  MigrationStatus,
  MigrationSubState,
  ValidationDetails,
  ValidationMessage,
  ValidationState,
  ValidationSummary,
  ValidationType,
} from "../status.js";
import { hasEnded } from "../status.js";
import type { FollowReport } from "./journal.js";
import { leaseHolder } from "./lease.js";
import type { Store } from "./store.js";

interface MigrationRow {
  readonly state: MigrationState;
  readonly sub_state: MigrationSubState;
  readonly error: string | null;
  readonly worker: { host: string; pid: number } | null;
  readonly validation_started_at: Date | null;
  readonly validation_ended_at: Date | null;
  readonly started_at: Date;
  readonly ended_at: Date | null;
}

interface DatabaseRow {
  readonly name: string;
  readonly state: DatabaseState;
  readonly phase: string;
  readonly message: string | null;
  readonly follow: FollowReport | null;
  readonly started_at: Date | null;
  readonly ended_at: Date | null;
  readonly queued: number;
  readonly loading: number;
  readonly completed: number;
  readonly errored: number;
  readonly bytes_copied: number;
  readonly bytes_total: number;
  readonly rows_copied: number;
  readonly rows_estimated: number;
  readonly indexes_completed: number;
  readonly indexes_total: number;
  readonly compared: number;
  readonly different: number;
}

interface FindingRow {
  readonly database: string | null;
  readonly type: ValidationType;
  readonly state: ValidationState;
  readonly code: string | null;
  readonly object: string | null;
  readonly object_type: "Database" | "Instance" | null;
  readonly message: string;
  readonly remedy: string | null;
}

/** The migration as it is at this moment; undefined where it is not recorded. */
export async function readStatus(store: Store, migration: string): Promise<MigrationStatus | undefined> {
  const [row] = await store.query<MigrationRow>("SELECT * FROM pgmigration.migration WHERE name = $1", [migration]);
  if (!row) return undefined;
  const databases = await readDatabaseRows(store, migration);
  const findings = await store.query<FindingRow>("SELECT * FROM pgmigration.finding WHERE migration = $1 ORDER BY id", [
    migration,
  ]);
  const cutoverTimeline = await store.query<{ step: string; seconds: number }>(
    `SELECT CASE WHEN count(*) OVER (PARTITION BY step) > 1 THEN step || ' (' || database || ')' ELSE step END AS step,
            seconds
       FROM pgmigration.cutover_step WHERE migration = $1 ORDER BY id`,
    [migration],
  );
  return {
    state: row.state,
    ...(row.error === null ? {} : { error: row.error }),
    currentSubStateDetails: {
      currentSubState: row.sub_state,
      dbDetails: Object.fromEntries(databases.map((database) => [database.name, detailsOf(database)])),
      ...(row.validation_started_at ? { validationDetails: validationOf(row, findings, databases) } : {}),
    },
    worker: await workerOf(store, migration, row),
    startedOn: row.started_at.toISOString(),
    ...(row.ended_at ? { endedOn: row.ended_at.toISOString() } : {}),
    cutoverTimeline,
  };
}

async function readDatabaseRows(store: Store, migration: string): Promise<DatabaseRow[]> {
  return store.query<DatabaseRow>(
    `SELECT d.name, d.state, d.phase, d.message, d.follow, d.started_at, d.ended_at, u.*, c.*
       FROM pgmigration.database d
       CROSS JOIN LATERAL (
         SELECT count(*) FILTER (WHERE kind = 'table' AND state = 'queued')::float8 AS queued,
                count(*) FILTER (WHERE kind = 'table' AND state = 'loading')::float8 AS loading,
                count(*) FILTER (WHERE kind = 'table' AND state = 'completed')::float8 AS completed,
                count(*) FILTER (WHERE kind = 'table' AND state = 'errored')::float8 AS errored,
                coalesce(sum(bytes_copied), 0)::float8 AS bytes_copied,
                coalesce(sum(bytes_total), 0)::float8 AS bytes_total,
                coalesce(sum(rows_copied), 0)::float8 AS rows_copied,
                coalesce(sum(greatest(rows_estimated, rows_copied)), 0)::float8 AS rows_estimated,
                count(*) FILTER (WHERE kind = 'index' AND state = 'completed')::float8 AS indexes_completed,
                count(*) FILTER (WHERE kind = 'index')::float8 AS indexes_total
           FROM pgmigration.unit WHERE migration = d.migration AND database = d.name) u
       CROSS JOIN LATERAL (
         SELECT count(*)::float8 AS compared, count(*) FILTER (WHERE NOT equal)::float8 AS different
           FROM pgmigration.comparison WHERE migration = d.migration AND database = d.name) c
      WHERE d.migration = $1 ORDER BY d.name`,
    [migration],
  );
}

function detailsOf(row: DatabaseRow): DatabaseDetails {
  return {
    databaseName: row.name,
    migrationState: row.state,
    migrationOperation: row.phase,
    ...(row.started_at ? { startedOn: row.started_at.toISOString() } : {}),
    ...(row.ended_at ? { endedOn: row.ended_at.toISOString() } : {}),
    fullLoadQueuedTables: row.queued,
    fullLoadLoadingTables: row.loading,
    fullLoadCompletedTables: row.completed,
    fullLoadErroredTables: row.errored,
    cdcInsertCounter: row.follow?.inserts ?? 0,
    cdcUpdateCounter: row.follow?.updates ?? 0,
    cdcDeleteCounter: row.follow?.deletes ?? 0,
    appliedChanges: row.follow?.appliedChanges ?? 0,
    incomingChanges: row.follow?.incomingChanges ?? 0,
    latency: row.follow?.latencySeconds ?? 0,
    lagBytes: row.follow?.lagBytes ?? 0,
    ...(row.message === null ? {} : { message: row.message }),
    bytesCopied: row.bytes_copied,
    bytesTotal: row.bytes_total,
    rowsCopied: row.rows_copied,
    rowsEstimated: row.rows_estimated,
    indexesCompleted: row.indexes_completed,
    indexesTotal: row.indexes_total,
    tablesCompared: row.compared,
    tablesDifferent: row.different,
  };
}

async function workerOf(store: Store, migration: string, row: MigrationRow): Promise<MigrationStatus["worker"]> {
  const identity = row.worker ? { host: row.worker.host, pid: row.worker.pid } : {};
  if (await leaseHolder(store, migration)) return { state: "running", ...identity };
  return { state: hasEnded(row.state) ? "ended" : "lost", ...identity };
}

function validationOf(
  row: MigrationRow,
  findings: readonly FindingRow[],
  databases: readonly DatabaseRow[],
): ValidationDetails {
  const times = {
    ...(row.validation_started_at ? { startedOn: row.validation_started_at.toISOString() } : {}),
    ...(row.validation_ended_at ? { endedOn: row.validation_ended_at.toISOString() } : {}),
  };
  return {
    status: worst(findings.map((finding) => finding.state)),
    ...(times.startedOn ? { validationStartTimeInUtc: times.startedOn } : {}),
    ...(times.endedOn ? { validationEndTimeInUtc: times.endedOn } : {}),
    serverLevelValidationDetails: summaries(findings.filter((finding) => finding.database === null)),
    dbLevelValidationDetails: databases.map(({ name }) => ({
      databaseName: name,
      ...times,
      summary: summaries(findings.filter((finding) => finding.database === name)),
    })),
  };
}

function summaries(findings: readonly FindingRow[]): ValidationSummary[] {
  const types = [...new Set(findings.map((finding) => finding.type))];
  return types.map((type) => {
    const group = findings.filter((finding) => finding.type === type);
    return { type, state: worst(group.map((finding) => finding.state)), messages: group.map(messageOfFinding) };
  });
}

function messageOfFinding(row: FindingRow): ValidationMessage {
  return {
    state: row.state,
    message: row.message,
    ...(row.code === null ? {} : { code: row.code }),
    ...(row.object === null ? {} : { object: row.object }),
    ...(row.object_type === null ? {} : { objectType: row.object_type }),
    ...(row.remedy === null ? {} : { remedy: row.remedy }),
  };
}

function worst(states: readonly ValidationState[]): ValidationState {
  if (states.includes("Failed")) return "Failed";
  return states.includes("Warning") ? "Warning" : "Succeeded";
}
