import { formatBytes } from "../../units/byte-size.js";
import { formatDuration } from "../../units/duration.js";
import type { MigrationResource } from "../../display/migration-resource.js";
import type { DatabaseDetails } from "../../status.js";
import { element, progress } from "./element.js";
import { clock, count, time } from "./format.js";

/** What is asked first: how far, how fast, how far behind, for how long; each in a figure and a line about it. */
export function summaryPart(migration: MigrationResource, now: number): Node[] {
  const databases = Object.values(migration.currentStatus.currentSubStateDetails?.dbDetails ?? {});
  const { percent = 0, bytesPerSecond = 0, secondsLeft } = migration.currentStatus;
  const sum = (pick: (one: DatabaseDetails) => number): number => databases.reduce((all, one) => all + pick(one), 0);
  const copied = sum((one) => one.bytesCopied);
  const tables = sum(tablesOf);
  const compared = sum((one) => one.tablesCompared);
  const different = sum((one) => one.tablesDifferent);
  const counted = sum((one) => one.tablesCounted);
  const end = migration.endedOn === undefined ? now : Date.parse(migration.endedOn);
  const left = secondsLeft === undefined ? "" : `, about ${formatDuration(secondsLeft)} left`;
  const changes = sum((one) => one.cdcInsertCounter + one.cdcUpdateCounter + one.cdcDeleteCounter);
  const latency = Math.max(0, ...databases.map((one) => one.latencySeconds));
  return [
    element(
      "div",
      { class: "tiles" },
      tile("Copied", `${percent} %`, `${formatBytes(copied)} at ${formatBytes(bytesPerSecond)}/s${left}`, [
        progress("copied", percent, 100),
      ]),
      tile(
        "Tables",
        `${count(sum((one) => one.fullLoadCompletedTables))} of ${count(tables)}`,
        `${count(sum((one) => one.rowsCopied))} rows, ${sum((one) => one.indexesCompleted)} of ${sum((one) => one.indexesTotal)} indexes`,
      ),
      ...(migration.migrationMode === "Online"
        ? [
            tile(
              "Behind",
              `${latency.toFixed(1)} s`,
              `${formatBytes(sum((one) => one.lagBytes))}, ${count(changes)} changes applied`,
            ),
          ]
        : []),
      tile(
        "Verified",
        different > 0 ? `${count(different)} differ` : compared === 0 ? "-" : `${count(compared)} equal`,
        compared === 0
          ? "not compared yet"
          : `of ${count(tables)} tables${counted === 0 ? "" : `, ${count(counted)} by counts only`}`,
        [],
        different > 0 ? "bad" : "",
      ),
      tile("Since", clock((end - Date.parse(migration.startedOn)) / 1000), `begun ${time(migration.startedOn)}`),
    ),
  ];
}

export const tablesOf = (one: DatabaseDetails): number =>
  one.fullLoadCompletedTables + one.fullLoadQueuedTables + one.fullLoadLoadingTables + one.fullLoadErroredTables;

function tile(name: string, figure: string, about: string, more: readonly Node[] = [], tone = ""): HTMLElement {
  return element(
    "div",
    { class: "tile" },
    element("h3", {}, name),
    element("p", { class: `figure ${tone}` }, figure),
    ...more,
    element("p", { class: "quiet" }, about),
  );
}
