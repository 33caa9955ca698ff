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
  if (isFollowing(status)) {
    const last = samples.at(-1);
    const lags = columns(samples, ({ lagBytes }) => lagBytes);
    return `behind ${formatBytes(last?.lagBytes ?? 0)}, ${(last?.latencySeconds ?? 0).toFixed(1)} s  ${sparkline(lags)}`;
  }
  const left = secondsLeft(samples);
  const rate = `${formatBytes(Math.round(bytesPerSecond(samples)))}/s`;
  const rates = sparkline(columns(samples, (_, i) => bytesPerSecond(samples, i)));
  return left === undefined ? `${rate}  ${rates}` : `${rate}, ${formatDuration(left)} left  ${rates}`;
}

const isFollowing = ({ state, currentSubStateDetails }: MigrationStatus): boolean =>
  state === "WaitingForUserAction" || currentSubStateDetails.currentSubState === "CompletingMigration";

const share = (done: number, all: number): number => (all > 0 ? Math.min(1, done / all) : 0);

const barWidth = 24;

export function bar(done: number): string {
  const full = Math.round(done * barWidth);
  return `${"█".repeat(full)}${"░".repeat(barWidth - full)} ${String(Math.floor(done * 100)).padStart(3)} %`;
}

const columnCount = 40;
const columnsShowMs = 15 * 60 * 1000;

/** The last quarter of an hour, or less where there is less, in equal spans of time; of each its highest value. */
function columns(samples: readonly Sample[], value: (sample: Sample, index: number) => number): number[] {
  const end = samples.at(-1)?.atMs ?? 0;
  const begin = Math.max(samples[0]?.atMs ?? 0, end - columnsShowMs);
  const spanMs = Math.max(1, end - begin) / columnCount;
  const highest: number[] = [];
  for (const [i, sample] of samples.entries()) {
    if (sample.atMs < begin) continue;
    const column = Math.min(columnCount - 1, Math.floor((sample.atMs - begin) / spanMs));
    highest[column] = Math.max(highest[column] ?? 0, value(sample, i));
  }
  // Nothing was measured in a span: it is as it was before.
  for (let i = 1; i < highest.length; i++) highest[i] ??= highest[i - 1] ?? 0;
  return highest;
}

const steps = "▁▂▃▄▅▆▇█";

/** Values as a row of columns, the highest one full. */
export function sparkline(values: readonly number[]): string {
  const top = Math.max(1, ...values);
  return values.map((value) => steps[Math.round((value / top) * (steps.length - 1))]!).join("");
}
