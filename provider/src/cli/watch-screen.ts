import type { DatabaseDetails, MigrationStatus } from "../status.js";
import type { TableRecord } from "../store/read-tables.js";
import { formatBytes } from "../worker/describe.js";
import { formatDuration } from "./grid.js";
import { bytesPerSecond, secondsLeft, type Sample } from "../rates.js";

export interface WatchedState {
  readonly name: string;
  readonly status: MigrationStatus;
  readonly tables: readonly TableRecord[];
  readonly samples: readonly Sample[];
}

const mostTables = 8;

/** What `watch` shows on a terminal: lines that are drawn anew each time. */
export function watchScreen({ name, status, tables, samples }: WatchedState): string[] {
  const { currentSubState, dbDetails } = status.currentSubStateDetails;
  const worker = status.worker.state === "lost" ? "  no worker: pg-migration update, or pulumi up, starts one" : "";
  const copying = tables.filter(({ state }) => state === "loading").slice(0, mostTables);
  return [
    `${name}  ${status.state} / ${currentSubState}${worker}`,
    ...Object.values(dbDetails).map(databaseLine),
    ...copying.map(tableLine),
    footer(status, samples),
    ...(status.error === undefined ? [] : status.error.split("\n")),
  ];
}

function databaseLine(one: DatabaseDetails): string {
  const tables =
    one.fullLoadCompletedTables + one.fullLoadQueuedTables + one.fullLoadLoadingTables + one.fullLoadErroredTables;
  // What tables take on disk only tells about what their copies move: complete is complete.
  const isCopied = tables > 0 && one.fullLoadCompletedTables === tables;
  const done = isCopied ? 1 : share(one.bytesCopied, one.bytesTotal);
  return [
    one.databaseName.padEnd(24),
    bar(done),
    `${one.fullLoadCompletedTables}/${tables} tables`,
    `${one.indexesCompleted}/${one.indexesTotal} indexes`,
    formatBytes(one.bytesCopied),
    one.migrationOperation,
  ].join("  ");
}

function tableLine(one: TableRecord): string {
  const name = `  ${one.schema}.${one.table}`;
  return [name.padEnd(24), bar(share(one.rowsCopied, one.rowsEstimated)), `${one.rowsCopied} rows`].join("  ");
}

function footer(status: MigrationStatus, samples: readonly Sample[]): string {
  if (
    status.state === "WaitingForUserAction" ||
    status.currentSubStateDetails.currentSubState === "CompletingMigration"
  ) {
    const lags = samples.map(({ lagBytes }) => lagBytes);
    const latency = Math.max(0, ...Object.values(status.currentSubStateDetails.dbDetails).map((one) => one.latency));
    return `behind ${formatBytes(lags.at(-1) ?? 0)}, ${latency.toFixed(1)} s  ${sparkline(lags)}`;
  }
  const left = secondsLeft(samples);
  const rate = `${formatBytes(Math.round(bytesPerSecond(samples)))}/s`;
  return left === undefined ? rate : `${rate}, ${formatDuration(left)} left`;
}

const share = (done: number, all: number): number => (all > 0 ? Math.min(1, done / all) : 0);

const barWidth = 24;

export function bar(done: number): string {
  const full = Math.round(done * barWidth);
  return `${"█".repeat(full)}${"░".repeat(barWidth - full)} ${String(Math.floor(done * 100)).padStart(3)} %`;
}

const steps = "▁▂▃▄▅▆▇█";
const sparklineWidth = 40;

/** The last values as a row of columns, the highest one full. */
export function sparkline(values: readonly number[]): string {
  const shown = values.slice(-sparklineWidth);
  const top = Math.max(1, ...shown);
  return shown.map((value) => steps[Math.round((value / top) * (steps.length - 1))]!).join("");
}
