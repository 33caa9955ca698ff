import type { Wish } from "../../inputs/inputs.js";
import { phasesOf } from "../../display/phases.js";
import { hasEnded, type DatabaseDetails, type MigrationStatus } from "../../status.js";
import { databaseFacts } from "../../display/database-facts.js";
import type { TableRecord } from "../../store/read-tables.js";
import { formatBytes } from "../../units/byte-size.js";
import { formatDuration } from "./grid-row.js";
import { bytesPerSecond, secondsLeft, type Sample } from "../../units/rates.js";

export interface WatchedState {
  readonly name: string;
  readonly wish: Pick<Wish, "migrationMode" | "migrationOption">;
  readonly status: MigrationStatus;
  readonly tables: readonly TableRecord[];
  readonly samples: readonly Sample[];
}

const mostTables = 8;

/** What `watch` shows on a terminal: lines that are drawn anew each time. */
export function watchScreen({ name, wish, status, tables, samples }: WatchedState): string[] {
  const { currentSubState, dbDetails } = status.currentSubStateDetails;
  const databases = Object.values(dbDetails);
  const copying = tables.filter(({ state }) => state === "loading").slice(0, mostTables);
  const width = Math.max(
    ...databases.map((one) => one.databaseName.length),
    ...copying.map((one) => nameOf(one).length),
  );
  return [
    `${name}  ${status.state} / ${currentSubState}`,
    phasesOf(wish, status.state, currentSubState)
      .map(({ name: phase, stage }) => `${marks[stage]} ${phase}`)
      .join("   "),
    "",
    ...databases.flatMap((one) => [
      databaseLine(one, width),
      ...databaseFacts(one).map((fact) => `${" ".repeat(width)}  ${fact}`),
    ]),
    ...copying.map((one) => tableLine(one, width)),
    "",
    ...(hasEnded(status.state) ? [] : footer(status, samples)),
    ...(status.worker.state === "lost" ? ["no worker: pg-migration update, or pulumi up, starts one"] : []),
    ...(status.error === undefined ? [] : status.error.split("\n")),
  ];
}

const marks = { done: "●", current: "◉", ahead: "○" } as const;

function databaseLine(one: DatabaseDetails, width: number): string {
  const tables =
    one.fullLoadCompletedTables + one.fullLoadQueuedTables + one.fullLoadLoadingTables + one.fullLoadErroredTables;
  // What tables take on disk only tells about what their copies move: complete is complete.
  const isCopied = tables > 0 && one.fullLoadCompletedTables === tables;
  const done = isCopied ? 1 : share(one.bytesCopied, one.bytesTotal);
  return [
    one.databaseName.padEnd(width),
    bar(done),
    `${one.fullLoadCompletedTables}/${tables} tables`,
    `${one.indexesCompleted}/${one.indexesTotal} indexes`,
    formatBytes(one.bytesCopied),
    // What it has failed by takes several lines, which stand below.
    one.migrationState === "Failed" ? "Failed" : (one.message ?? one.migrationOperation),
  ].join("  ");
}

const nameOf = (one: TableRecord): string => `  ${one.schema}.${one.table}`;

const tableLine = (one: TableRecord, width: number): string =>
  [
    nameOf(one).padEnd(width),
    bar(share(one.rowsCopied, one.rowsEstimated)),
    `${one.rowsCopied.toLocaleString("en")} rows`,
  ].join("  ");

function footer(status: MigrationStatus, samples: readonly Sample[]): string[] {
  if (isFollowing(status)) {
    const last = samples.at(-1);
    const lags = sparkline(columns(samples, ({ lagBytes }) => lagBytes));
    const changes = Object.values(status.currentSubStateDetails.dbDetails)
      .reduce((sum, one) => sum + one.cdcInsertCounter + one.cdcUpdateCounter + one.cdcDeleteCounter, 0)
      .toLocaleString("en");
    return [
      `behind ${formatBytes(last?.lagBytes ?? 0)}, ${(last?.latencySeconds ?? 0).toFixed(1)} s  ${lags}`,
      `${changes} changes applied`,
    ];
  }
  const left = secondsLeft(samples);
  const rate = `${formatBytes(Math.round(bytesPerSecond(samples)))}/s`;
  const rates = sparkline(columns(samples, (_, i) => bytesPerSecond(samples, i)));
  return [left === undefined ? `${rate}  ${rates}` : `${rate}, ${formatDuration(left)} left  ${rates}`];
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
