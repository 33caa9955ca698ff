import { attentionRank, needsUser } from "../fleet/attention.js";
import type { MigrationStatus, DatabaseDetails } from "../status.js";

export interface MigrationSample {
  /** Name of the target; only for a list of targets. */
  readonly target?: string;
  readonly name: string;
  readonly status: MigrationStatus;
}

/** A target of a list. */
export interface TargetSample {
  readonly target: string;
  /** Whether the last read succeeded. */
  readonly isUp: boolean;
}

interface Metric {
  readonly name: string;
  readonly type: "gauge" | "counter";
  readonly help: string;
  /** Undefined while nothing is measured: a metric then has no sample for the database. */
  readonly value: (database: DatabaseDetails) => number | undefined;
}

const measured =
  (value: (database: DatabaseDetails) => number): Metric["value"] =>
  (database) =>
    database.isLagMeasured ? value(database) : undefined;

/** One sample per database of each migration. */
const databaseMetrics: readonly Metric[] = [
  {
    name: "tables_queued",
    type: "gauge",
    help: "Tables waiting to be copied",
    value: (d) => d.fullLoadQueuedTables,
  },
  { name: "tables_copying", type: "gauge", help: "Tables being copied", value: (d) => d.fullLoadLoadingTables },
  { name: "tables_copied", type: "gauge", help: "Tables copied", value: (d) => d.fullLoadCompletedTables },
  { name: "tables_errored", type: "gauge", help: "Tables that failed", value: (d) => d.fullLoadErroredTables },
  { name: "bytes_copied", type: "gauge", help: "Bytes sent so far", value: (d) => d.bytesCopied },
  { name: "bytes", type: "gauge", help: "Size of the tables on disk", value: (d) => d.bytesTotal },
  { name: "rows_copied", type: "gauge", help: "Rows copied so far", value: (d) => d.rowsCopied },
  { name: "indexes_built", type: "gauge", help: "Indexes built", value: (d) => d.indexesCompleted },
  { name: "indexes", type: "gauge", help: "Indexes to build", value: (d) => d.indexesTotal },
  { name: "inserts_applied_total", type: "counter", help: "Inserts applied", value: (d) => d.cdcInsertCounter },
  { name: "updates_applied_total", type: "counter", help: "Updates applied", value: (d) => d.cdcUpdateCounter },
  { name: "deletes_applied_total", type: "counter", help: "Deletes applied", value: (d) => d.cdcDeleteCounter },
  {
    name: "incoming_changes",
    type: "gauge",
    help: "Changes received and not applied",
    value: measured((d) => d.incomingChanges),
  },
  {
    name: "lag_bytes",
    type: "gauge",
    help: "Bytes of WAL that the target is behind",
    value: measured((d) => d.lagBytes),
  },
  {
    name: "lag_seconds",
    type: "gauge",
    help: "Seconds that the target is behind",
    value: measured((d) => d.latencySeconds),
  },
  { name: "tables_compared", type: "gauge", help: "Tables compared", value: (d) => d.tablesCompared },
  { name: "tables_different", type: "gauge", help: "Tables that differ", value: (d) => d.tablesDifferent },
];

/** The metrics in Prometheus' text format. Every name starts with `pg_migration_`. */
export function metricsText(migrations: readonly MigrationSample[], targets: readonly TargetSample[] = []): string {
  const lines = [
    ...head("target_up", "gauge", "1 while the target of a list can be read"),
    ...targets.map(({ target, isUp }) => sample("target_up", { target }, isUp ? 1 : 0)),
    ...head("state", "gauge", "1 for the state that the migration is in"),
    ...migrations.map((one) => sample("state", { ...labelsOf(one), state: one.status.state }, 1)),
    ...head(
      "attention",
      "gauge",
      "How urgently the migration needs a user: 5 failed, 4 without a worker, 2 waiting, 0 none",
    ),
    ...migrations.map((one) => sample("attention", labelsOf(one), attentionOf(one.status))),
    ...head("worker_running", "gauge", "1 while a worker holds the lease"),
    ...migrations.map((one) => sample("worker_running", labelsOf(one), one.status.worker.state === "running" ? 1 : 0)),
    ...head("copied_ratio", "gauge", "The copied part of the migration: 1 when all rows are copied"),
    ...migrations.map((one) => sample("copied_ratio", labelsOf(one), one.status.percent / 100)),
    ...databaseMetrics.flatMap((metric) => [
      ...head(metric.name, metric.type, metric.help),
      ...migrations.flatMap((one) =>
        Object.values(one.status.currentSubStateDetails.dbDetails).flatMap((database) => {
          const value = metric.value(database);
          return value === undefined
            ? []
            : [sample(metric.name, { ...labelsOf(one), database: database.databaseName }, value)];
        }),
      ),
    ]),
  ];
  return `${lines.join("\n")}\n`;
}

/** One value without labels. */
export const gauge = (name: string, help: string, value: number): string =>
  [...head(name, "gauge", help), sample(name, {}, value), ""].join("\n");

const labelsOf = ({ target, name }: MigrationSample): Readonly<Record<string, string>> =>
  target === undefined ? { migration: name } : { target, migration: name };

/** Grows with the urgency, as Grafana sorts and colours values. */
function attentionOf({ state, worker, currentSubStateDetails: { dbDetails } }: MigrationStatus): number {
  const different = Object.values(dbDetails).reduce((sum, { tablesDifferent }) => sum + tablesDifferent, 0);
  const rank = attentionRank({ state, workerState: worker.state, different, isUnreachable: false });
  return needsUser(rank) ? 5 - rank : 0;
}

const head = (name: string, type: string, help: string): string[] => [
  `# HELP pg_migration_${name} ${help}.`,
  `# TYPE pg_migration_${name} ${type}`,
];

function sample(name: string, labels: Readonly<Record<string, string>>, value: number): string {
  const text = Object.entries(labels).map(([label, content]) => `${label}="${escapeLabel(content)}"`);
  return `pg_migration_${name}${text.length > 0 ? `{${text.join(",")}}` : ""} ${value}`;
}

const escapeLabel = (text: string): string => text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
