import type {
  ComparisonProgress,
  CutoverStep,
  DatabaseDetails,
  DatabaseState,
  MigrationState,
  MigrationStatus,
  MigrationSubState,
  OnlineVerification,
  ServerMetadata,
  TableDetails,
  ValidationDetails,
  ValidationMessage,
  ValidationState,
  ValidationSummary,
  ValidationType,
  RollbackStatus,
  WorkerState,
} from "../status.js";
import { maxIndexBuildsShown, maxTablesShown } from "../status.js";
import type { FollowReport, RetainedWal } from "./journal.js";
import { type Holder, leaseHolder, shownWorker, workerState } from "./lease.js";
import { readIndexBuilds, type RunningBuild } from "./read-index-builds.js";
import { formatBytes } from "../units/byte-size.js";
import type { DatabasePhase } from "./records.js";
import { estimateSecondsLeft } from "../units/rates.js";
import { recordedSpec } from "./recorded-spec.js";
import type { Store } from "./store.js";

interface MigrationRow {
  readonly spec: unknown;
  readonly state: MigrationState;
  readonly sub_state: MigrationSubState;
  readonly reached_sub_state: MigrationSubState | null;
  readonly error: string | null;
  readonly worker: { host: string; pid: number; version: string; backendPid: number } | null;
  readonly source_server: ServerMetadata | null;
  readonly target_server: ServerMetadata | null;
  readonly validation_started_at: Date | null;
  readonly validation_ended_at: Date | null;
  readonly started_at: Date;
  readonly ended_at: Date | null;
}

interface DatabaseRow {
  readonly name: string;
  readonly state: DatabaseState;
  readonly phase: DatabasePhase;
  readonly message: string | null;
  readonly awaited_window: string | null;
  readonly follow: (FollowReport & { readonly measuredAt: string }) | null;
  readonly borrower: string | null;
  readonly slot: string | null;
  readonly retained_wal: RetainedWal | null;
  readonly verification: OnlineVerification | null;
  readonly comparing: ComparisonProgress | null;
  readonly rollback_replication: RollbackStatus | null;
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
  readonly counted: number;
  /** Duration of the tables' copy in seconds. */
  readonly copying_for: number | null;
  readonly tables: readonly TableDetails[];
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

/** The current status of the migration; undefined if it is not recorded. */
export async function readStatus(store: Store, migration: string): Promise<MigrationStatus | undefined> {
  // The store sends them at once, in this order.
  const [[row], databases, findings, cutoverTimeline, holder] = await Promise.all([
    store.query<MigrationRow>("SELECT * FROM pgmigration.migration WHERE name = $1", [migration]),
    readDatabaseRows(store, migration),
    store.query<FindingRow>("SELECT * FROM pgmigration.finding WHERE migration = $1 ORDER BY id", [migration]),
    store.query<CutoverStep>(
      "SELECT database, step, seconds FROM pgmigration.cutover_step WHERE migration = $1 ORDER BY id",
      [migration],
    ),
    leaseHolder(store, migration),
  ]);
  if (!row) return undefined;
  const builds = databases.some(isBuilding) ? await readIndexBuilds(store, migration) : [];
  const worker = workerOf(row, holder);
  const { spec, damage } = recordedSpec(migration, row.spec);
  const error = damage?.message ?? row.error;
  return {
    migrationId: `${spec.target.host}:${spec.target.port}/${migration}`,
    state: row.state,
    ...(error === null ? {} : { error }),
    currentSubStateDetails: {
      currentSubState: row.sub_state,
      ...(row.reached_sub_state === null ? {} : { reachedSubState: row.reached_sub_state }),
      dbDetails: Object.fromEntries(
        databases.map((database) => [database.name, detailsOf(database, builds, worker.state)]),
      ),
      // The copy reports findings also without a validation.
      ...(row.validation_started_at !== null || findings.length > 0
        ? { validationDetails: validationOf(row, findings, databases) }
        : {}),
    },
    worker,
    ...copyRate(databases),
    ...(row.source_server ? { sourceDbServerMetadata: row.source_server } : {}),
    ...(row.target_server ? { targetDbServerMetadata: row.target_server } : {}),
    startedOn: row.started_at.toISOString(),
    ...(row.ended_at ? { endedOn: row.ended_at.toISOString() } : {}),
    cutoverTimeline,
  };
}

/** Rate and progress of the initial copy, and its estimated end at that rate. */
function copyRate(
  databases: readonly DatabaseRow[],
): Pick<MigrationStatus, "percent" | "bytesPerSecond" | "secondsLeft"> {
  const sum = (pick: (row: DatabaseRow) => number): number => databases.reduce((all, row) => all + pick(row), 0);
  const copied = sum((row) => row.bytes_copied);
  const total = sum((row) => row.bytes_total);
  const tables = sum((row) => row.queued + row.loading + row.errored);
  const seconds = Math.max(0, ...databases.map((row) => row.copying_for ?? 0));
  const bytesPerSecond = seconds > 0 ? Math.round(copied / seconds) : 0;
  const complete = tables === 0 && sum((row) => row.completed) > 0;
  // Sizes on disk differ from bytes sent. An incomplete copy must not show 100 percent.
  const percent = complete ? 100 : percentOf(copied, total);
  const secondsLeft = complete ? undefined : estimateSecondsLeft({ done: copied, total, seconds });
  return { percent, bytesPerSecond, ...(secondsLeft === undefined ? {} : { secondsLeft }) };
}

const percentOf = (copied: number, total: number): number =>
  total > 0 ? Math.min(99, Math.floor((100 * copied) / total)) : 0;

/** The largest tables of database `d`, at most $2. The parts of a table are combined. */
const tablesQuery = `
  SELECT json_agg(json_strip_nulls(json_build_object(
           'table', format('%I.%I', one.table_schema, one.table_name),
           'state', one.state, 'bytesCopied', one.bytes_copied, 'bytesTotal', one.bytes_total,
           'rowsCopied', one.rows_copied, 'rowsEstimated', one.rows_estimated, 'error', one.error,
           'verified', CASE WHEN compared.equal THEN 'equal' WHEN NOT compared.equal THEN 'different' END,
           'verifiedBy', compared.compared_by, 'sourceRows', compared.source_rows, 'targetRows', compared.target_rows,
           'inserts', changed.inserts, 'updates', changed.updates, 'deletes', changed.deletes))) AS tables
    FROM (SELECT table_schema, table_name, max(error) AS error,
                 CASE WHEN bool_or(state = 'errored') THEN 'errored' WHEN bool_and(state = 'completed') THEN 'completed'
                      WHEN bool_and(state = 'queued') THEN 'queued' ELSE 'loading' END AS state,
                 sum(bytes_copied) AS bytes_copied, sum(bytes_total) AS bytes_total,
                 sum(rows_copied) AS rows_copied, sum(rows_estimated) AS rows_estimated
            FROM pgmigration.copy_task WHERE migration = d.migration AND database = d.name AND kind = 'table'
           GROUP BY table_schema, table_name ORDER BY sum(bytes_total) DESC, table_name LIMIT $2) one
    LEFT JOIN pgmigration.comparison compared
           ON compared.migration = d.migration AND compared.database = d.name
          AND compared.table_schema = one.table_schema AND compared.table_name = one.table_name
    LEFT JOIN pgmigration.table_changes changed
           ON changed.migration = d.migration AND changed.database = d.name
          AND changed.table_schema = one.table_schema AND changed.table_name = one.table_name`;

async function readDatabaseRows(store: Store, migration: string): Promise<DatabaseRow[]> {
  return store.query<DatabaseRow>(
    `SELECT d.name, d.state, d.phase, d.message, d.awaited_window, d.follow, d.slot, CASE WHEN d.slot IS NOT NULL THEN d.retained_wal END AS retained_wal, d.verification, d.rollback_replication, d.started_at, d.ended_at, u.*, c.*,
            CASE WHEN d.comparing ->> 'generation' = m.generation::text THEN d.comparing - 'generation' END AS comparing,
            copying.copying_for, coalesce(largest.tables, '[]') AS tables,
            (SELECT l.borrower FROM pgmigration.lend_stream l
              WHERE l.migration = d.migration AND l.database = d.name AND l.state = 'lent') AS borrower
       FROM pgmigration.database d
       JOIN pgmigration.migration m ON m.name = d.migration
       CROSS JOIN LATERAL (
         SELECT count(*) FILTER (WHERE tables AND queued = units)::float8 AS queued,
                count(*) FILTER (WHERE tables AND errored = 0 AND queued < units AND completed < units)::float8 AS loading,
                count(*) FILTER (WHERE tables AND completed = units)::float8 AS completed,
                count(*) FILTER (WHERE tables AND errored > 0)::float8 AS errored,
                coalesce(sum(bytes_copied), 0)::float8 AS bytes_copied,
                coalesce(sum(bytes_total), 0)::float8 AS bytes_total,
                coalesce(sum(rows_copied), 0)::float8 AS rows_copied,
                coalesce(sum(greatest(rows_estimated, rows_copied)), 0)::float8 AS rows_estimated,
                coalesce(sum(completed) FILTER (WHERE NOT tables), 0)::float8 AS indexes_completed,
                coalesce(sum(units) FILTER (WHERE NOT tables), 0)::float8 AS indexes_total
           FROM (SELECT kind = 'table' AS tables, count(*) AS units,
                        count(*) FILTER (WHERE state = 'queued') AS queued,
                        count(*) FILTER (WHERE state = 'completed') AS completed,
                        count(*) FILTER (WHERE state = 'errored') AS errored,
                        sum(bytes_copied) AS bytes_copied, sum(bytes_total) AS bytes_total,
                        sum(rows_copied) AS rows_copied, sum(rows_estimated) AS rows_estimated
                   FROM pgmigration.copy_task WHERE migration = d.migration AND database = d.name
                  GROUP BY kind, table_schema, table_name) one_table) u
       CROSS JOIN LATERAL (
         SELECT count(*)::float8 AS compared, count(*) FILTER (WHERE NOT equal)::float8 AS different,
                count(*) FILTER (WHERE compared_by = 'counts')::float8 AS counted
           FROM pgmigration.comparison WHERE migration = d.migration AND database = d.name) c
       CROSS JOIN LATERAL (
         SELECT extract(epoch FROM
                  CASE WHEN bool_and(ended_at IS NOT NULL) THEN max(ended_at) ELSE clock_timestamp() END
                  - min(started_at))::float8 AS copying_for
           FROM pgmigration.copy_task WHERE migration = d.migration AND database = d.name AND kind = 'table') copying
       CROSS JOIN LATERAL (${tablesQuery}) largest
      WHERE d.migration = $1 ORDER BY d.name`,
    [migration, maxTablesShown],
  );
}

const isBuilding = (row: DatabaseRow): boolean => row.indexes_completed < row.indexes_total && !row.ended_at;

/** Measured lag is current only while a worker follows the source: not after the end, not once the worker is lost. */
function lagMeasurement(
  { follow, phase, state, started_at: startedAt }: DatabaseRow,
  worker: WorkerState,
): Pick<DatabaseDetails, "isLagMeasured" | "lagUnknownSince"> {
  const hasStream = phase === "following" && state !== "Failed";
  if (!hasStream || worker === "ended") return { isLagMeasured: false };
  if (worker === "running") return { isLagMeasured: follow !== null };
  const since = follow === null ? startedAt?.getTime() : Date.parse(follow.measuredAt);
  return { isLagMeasured: false, ...(since ? { lagUnknownSince: new Date(since).toISOString() } : {}) };
}

/**
 * What a slot without a reader costs the source, and what ends that.
 *
 * @param retained the amount with its unit; undefined if it was never measured
 */
export function describeKeptSlot(slot: string, phase: DatabasePhase, retained: string | undefined): string {
  const amount = retained === undefined ? "WAL" : `${retained} of WAL`;
  const ends =
    phase === "canceled"
      ? "pulumi up or pulumi destroy removes the slot"
      : "pulumi up resumes the migration or pulumi destroy removes the slot";
  return `no worker reads the slot ${slot}, which retains ${amount} on the source until ${ends}`;
}

/** A slot that no worker reads, with the WAL that a worker measured last. Without a reader, a slot retains ever more WAL. */
function keptSlotOf(
  { slot, phase, state, retained_wal: retained }: DatabaseRow,
  worker: WorkerState,
): Pick<DatabaseDetails, "keptSlot"> {
  if (slot === null || (worker === "running" && state !== "Failed")) return {};
  const amount = retained === null ? undefined : `at least ${formatBytes(retained.bytes)}`;
  return { keptSlot: describeKeptSlot(slot, phase, amount) };
}

function detailsOf(row: DatabaseRow, builds: readonly RunningBuild[], worker: WorkerState): DatabaseDetails {
  const lag = lagMeasurement(row, worker);
  const indexBuilds = builds.filter(({ database }) => database === row.name).map(({ build }) => build);
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
    latencySeconds: row.follow?.latencySeconds ?? 0,
    ...lag,
    lagBytes: row.follow?.lagBytes ?? 0,
    ...(row.borrower === null ? {} : { streamWorker: shownWorker(row.borrower) }),
    pendingTransactions: row.follow?.pendingTransactions ?? 0,
    insertsPerSecond: row.follow?.insertsPerSecond ?? 0,
    updatesPerSecond: row.follow?.updatesPerSecond ?? 0,
    deletesPerSecond: row.follow?.deletesPerSecond ?? 0,
    ...(!lag.isLagMeasured || row.follow?.secondsToCatchUp === undefined
      ? {}
      : { secondsToCatchUp: row.follow.secondsToCatchUp }),
    ...(row.message === null ? {} : { message: row.message }),
    ...(row.awaited_window === null ? {} : { awaitedWindow: row.awaited_window }),
    bytesCopied: row.bytes_copied,
    bytesTotal: row.bytes_total,
    rowsCopied: row.rows_copied,
    rowsEstimated: row.rows_estimated,
    indexesCompleted: row.indexes_completed,
    indexesTotal: row.indexes_total,
    tablesCompared: row.compared,
    tablesDifferent: row.different,
    tablesCounted: row.counted,
    ...(row.retained_wal === null ? {} : { retainedWalBytes: row.retained_wal.bytes }),
    ...(row.retained_wal?.limitBytes === undefined ? {} : { retainedWalLimitBytes: row.retained_wal.limitBytes }),
    ...keptSlotOf(row, worker),
    ...(row.comparing === null ? {} : { comparison: row.comparing }),
    ...(indexBuilds.length === 0 ? {} : { indexBuilds: indexBuilds.slice(0, maxIndexBuildsShown) }),
    ...(row.verification === null ? {} : { verification: row.verification }),
    ...(row.rollback_replication === null ? {} : { rollbackReplication: row.rollback_replication }),
    percent:
      row.completed > 0 && row.queued + row.loading + row.errored === 0
        ? 100
        : percentOf(row.bytes_copied, row.bytes_total),
    tables: row.tables,
  };
}

function workerOf(row: MigrationRow, holder: Holder | undefined): MigrationStatus["worker"] {
  const { worker } = row;
  const identity = worker ? { host: worker.host, pid: worker.pid, version: worker.version } : {};
  return { state: workerState(row.state, worker?.backendPid, holder), ...identity };
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
