import type { MigrationSpec } from "../../inputs/inputs.js";
import { phasesOf } from "../../display/phases.js";
import type { DatabaseDetails, MigrationStatus } from "../../status.js";
import { databaseFacts } from "../../display/database-facts.js";
import type { TableRecord } from "../../store/read-tables.js";
import { formatBytes } from "../../units/byte-size.js";
import { formatDuration } from "./grid-row.js";
import { bytesPerSecond, type Sample } from "../../units/rates.js";

export interface WatchedState {
  readonly name: string;
  readonly spec: Pick<MigrationSpec, "migrationMode" | "migrationOption">;
  readonly status: MigrationStatus;
  readonly tables: readonly TableRecord[];
  readonly samples: readonly Sample[];
}

const maxTables = 8;

/** The lines that `watch` shows on a terminal. They are redrawn at each change. */
export function watchScreen({ name, spec, status, tables, samples }: WatchedState): string[] {
  const { currentSubState, dbDetails } = status.currentSubStateDetails;
  const databases = Object.values(dbDetails);
  const copying = tables.filter(({ state }) => state === "loading").slice(0, maxTables);
  const changed = isFollowing(status) ? mostChanged(tables) : [];
  const width = Math.max(
    ...databases.map((one) => one.databaseName.length),
    ...[...copying, ...changed].map((one) => nameOf(one).length),
  );
  return [
    `${name}  ${status.state} / ${currentSubState}`,
    phasesOf(spec, status)
      .map(({ name: phase, stage }) => `${marks[stage]} ${phase}`)
      .join("   "),
    "",
    ...databases.flatMap((one) => [
      databaseLine(one, width),
      ...databaseFacts(one).map((fact) => `${" ".repeat(width)}  ${fact}`),
    ]),
    ...copying.map((one) => tableLine(one, width)),
    ...changed.map((one) => changesLine(one, width)),
    "",
    ...(status.worker.state === "running" ? footer(status, samples) : []),
    ...(status.worker.state === "lost" ? [`no worker is running; start one: pg-migration update --name ${name}`] : []),
    ...(status.error === undefined ? [] : status.error.split("\n")),
  ];
}

const marks = { done: "●", current: "◉", stopped: "✗", ahead: "○" } as const;

function databaseLine(one: DatabaseDetails, width: number): string {
  const tables =
    one.fullLoadCompletedTables + one.fullLoadQueuedTables + one.fullLoadLoadingTables + one.fullLoadErroredTables;
  // Sizes on disk only approximate the copied bytes, so completed tables decide.
  const isCopied = tables > 0 && one.fullLoadCompletedTables === tables;
  const done = isCopied ? 1 : share(one.bytesCopied, one.bytesTotal);
  return [
    one.databaseName.padEnd(width),
    bar(done),
    `${one.fullLoadCompletedTables}/${tables} tables`,
    `${one.indexesCompleted}/${one.indexesTotal} indexes`,
    formatBytes(one.bytesCopied),
    // The error takes several lines, printed below.
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

const changesOf = ({ inserts, updates, deletes }: TableRecord): number => inserts + updates + deletes;

const mostChanged = (tables: readonly TableRecord[]): TableRecord[] =>
  tables
    .filter((one) => changesOf(one) > 0)
    .sort((one, other) => changesOf(other) - changesOf(one))
    .slice(0, maxTables);

function changesLine(one: TableRecord, width: number): string {
  const [inserts, updates, deletes] = [one.inserts, one.updates, one.deletes].map((each) => each.toLocaleString("en"));
  return `${nameOf(one).padEnd(width)}  ${inserts!} inserts, ${updates!} updates, ${deletes!} deletes`;
}

function footer(status: MigrationStatus, samples: readonly Sample[]): string[] {
  if (isFollowing(status)) {
    const last = samples.at(-1);
    const lags = sparkline(columns(samples, ({ lagBytes }) => lagBytes));
    const changes = Object.values(status.currentSubStateDetails.dbDetails)
      .reduce((sum, one) => sum + one.cdcInsertCounter + one.cdcUpdateCounter + one.cdcDeleteCounter, 0)
      .toLocaleString("en");
    const isMeasured = Object.values(status.currentSubStateDetails.dbDetails).some((one) => one.isLagMeasured);
    const lag = `behind ${formatBytes(last?.lagBytes ?? 0)}, ${(last?.latencySeconds ?? 0).toFixed(1)} s  ${lags}`;
    return [...(isMeasured ? [lag] : []), `${changes} changes applied`];
  }
  const rate = `${formatBytes(Math.round(bytesPerSecond(samples)))}/s`;
  const rates = sparkline(columns(samples, (_, i) => bytesPerSecond(samples, i)));
  const { secondsLeft } = status;
  return [secondsLeft === undefined ? `${rate}  ${rates}` : `${rate}, ${formatDuration(secondsLeft)} left  ${rates}`];
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

/** The highest value of each of {@link columnCount} equal spans within the last 15 minutes. */
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
  // A span without a measurement repeats the one before.
  for (let i = 1; i < highest.length; i++) highest[i] ??= highest[i - 1] ?? 0;
  return highest;
}

const steps = "▁▂▃▄▅▆▇█";

/** Values as a row of block characters, scaled to the highest. */
export function sparkline(values: readonly number[]): string {
  const top = Math.max(1, ...values);
  return values.map((value) => steps[Math.round((value / top) * (steps.length - 1))]!).join("");
}
