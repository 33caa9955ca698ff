import type { MigrationResource } from "../../../display/migration-resource.js";
import type { DatabaseDetails } from "../../../status.js";
import { formatDuration } from "../../../units/duration.js";
import { comparisonOf } from "./comparison.js";
import { element, progress } from "../components/element.js";
import { bytes, count, dateTime, elapsed, seconds } from "../components/format.js";
import { measuredLag, unknownSince } from "./lag.js";

/** The key figures: copied, tables, lag, comparison and duration. */
export function summaryPart(migration: MigrationResource, nowMs: number): Node[] {
  const databases = Object.values(migration.currentStatus.currentSubStateDetails?.dbDetails ?? {});
  const moves = migration.migrationOption !== "Validate";
  return [
    element(
      "div",
      { class: "tiles" },
      ...(moves ? [copiedTile(migration, databases), tablesTile(databases)] : []),
      ...(moves && migration.migrationMode === "Online" ? [lagTile(databases)] : []),
      ...(moves ? [comparedTile(databases)] : []),
      durationTile(migration, nowMs),
    ),
  ];
}

export const tablesOf = (one: DatabaseDetails): number =>
  one.fullLoadCompletedTables + one.fullLoadQueuedTables + one.fullLoadLoadingTables + one.fullLoadErroredTables;

type Databases = readonly DatabaseDetails[];

const sum = (databases: Databases, pick: (one: DatabaseDetails) => number): number =>
  databases.reduce((all, one) => all + pick(one), 0);

function copiedTile({ currentStatus }: MigrationResource, databases: Databases): HTMLElement {
  const { percent = 0, bytesPerSecond = 0, secondsLeft } = currentStatus;
  const copied = sum(databases, (one) => one.bytesCopied);
  const rate = bytesPerSecond === 0 ? "" : `, ${bytes(bytesPerSecond)}/s on average`;
  const isCopying = currentStatus.currentSubStateDetails?.currentSubState === "MigratingData";
  const left = isCopying && secondsLeft !== undefined ? `, about ${formatDuration(secondsLeft)} left` : "";
  return tile("Copied", `${percent} %`, `${bytes(copied)}${rate}${left}`, { more: progress("copied", percent, 100) });
}

function tablesTile(databases: Databases): HTMLElement {
  const indexes = `${count(sum(databases, (one) => one.indexesCompleted))} of ${count(sum(databases, (one) => one.indexesTotal))} indexes`;
  return tile(
    "Tables",
    `${count(sum(databases, (one) => one.fullLoadCompletedTables))} of ${count(sum(databases, tablesOf))}`,
    `${count(sum(databases, (one) => one.rowsCopied))} rows, ${indexes}`,
  );
}

function lagTile(databases: Databases): HTMLElement {
  const changes = `${count(sum(databases, (one) => one.cdcInsertCounter + one.cdcUpdateCounter + one.cdcDeleteCounter))} changes applied`;
  const lag = measuredLag(databases);
  if (lag) return tile("Behind", seconds(lag.seconds), `${bytes(lag.bytes)}, ${changes}`);
  const unknown = unknownSince(databases);
  return tile("Behind", unknown === undefined ? "-" : "unknown", unknown ?? changes, {
    tone: unknown === undefined ? "" : "bad",
  });
}

function comparedTile(databases: Databases): HTMLElement {
  const compared = sum(databases, (one) => comparisonOf(one).compared);
  const different = sum(databases, (one) => comparisonOf(one).different);
  const counted = sum(databases, (one) => comparisonOf(one).counted);
  if (compared === 0) return tile("Compared", "-", "not compared yet");
  const about = `of ${count(sum(databases, tablesOf))} tables${counted === 0 ? "" : `, ${count(counted)} by row count only`}`;
  if (different > 0) return tile("Compared", `${count(different)} differ`, about, { tone: "bad" });
  return tile("Compared", `${count(compared)} equal`, about);
}

function durationTile({ startedOn, endedOn }: MigrationResource, nowMs: number): HTMLElement {
  const end = endedOn === undefined ? nowMs : Date.parse(endedOn);
  const name = endedOn === undefined ? "Running for" : "Duration";
  return tile(name, elapsed((end - Date.parse(startedOn)) / 1000), `started ${dateTime(startedOn)}`);
}

function tile(
  name: string,
  figure: string,
  about: string,
  { more, tone = "" }: { readonly more?: Node; readonly tone?: string } = {},
): HTMLElement {
  return element(
    "div",
    { class: "tile" },
    element("h3", {}, name),
    element("p", { class: `figure ${tone}` }, figure),
    ...(more ? [more] : []),
    element("p", { class: "quiet" }, about),
  );
}
