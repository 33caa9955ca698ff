import { databaseFacts } from "../../../display/database-facts.js";
import type { DatabaseDetails, MigrationState } from "../../../status.js";
import { hasEnded } from "../../../status.js";
import type { Column } from "../components/data-table.js";
import { DataTable } from "../components/data-table.js";
import { comparisonOf } from "./comparison.js";
import { element } from "../components/element.js";
import { bytes, count } from "../components/format.js";
import { lagOf } from "./lag.js";
import { pill } from "../components/pill.js";
import { tablesOf } from "./summary.js";

/** The databases of a migration with their progress. */
export class DatabasesPart {
  readonly root = element("section", {});
  #table: DataTable<DatabaseDetails> | undefined;
  #isOnline: boolean | undefined;
  #state: MigrationState | undefined;

  show(databases: readonly DatabaseDetails[], isOnline: boolean, state: MigrationState | undefined): void {
    this.#state = state;
    if (!this.#table || this.#isOnline !== isOnline) {
      this.#isOnline = isOnline;
      this.#table = new DataTable({
        label: "Databases",
        columns: [
          {
            name: "Database",
            cell: ({ databaseName }) => element("strong", {}, databaseName),
            value: nameOf,
            className: "name",
          },
          {
            name: "Status",
            cell: (one) => this.#statusOf(one),
            value: (one) => one.migrationState,
            className: "status",
          },
          ...commonColumns,
          ...(isOnline ? onlineColumns : []),
          { name: "Compared", cell: comparedOf, value: (one) => comparisonOf(one).compared },
        ],
        key: nameOf,
        detail: detailOf,
      });
      this.root.replaceChildren(element("h2", {}, "Databases"), this.#table.root);
    }
    this.#table.show(databases);
  }

  /** A database that was not finished when the migration ended is no longer in progress. */
  #statusOf({ migrationState }: DatabaseDetails): Node {
    const state = this.#state ?? "InProgress";
    if (migrationState !== "InProgress" || !hasEnded(state)) return pill(migrationState);
    return state === "Succeeded" ? pill("Succeeded") : pill("Canceled", "Not finished");
  }
}

const nameOf = ({ databaseName }: DatabaseDetails): string => databaseName;

const commonColumns: readonly Column<DatabaseDetails>[] = [
  { name: "Tables", cell: tablesBar, value: (one) => one.fullLoadCompletedTables / Math.max(1, tablesOf(one)) },
  {
    name: "Rows",
    cell: ({ rowsCopied }) => count(rowsCopied),
    value: ({ rowsCopied }) => rowsCopied,
    className: "number",
  },
  {
    name: "Bytes",
    cell: ({ bytesCopied }) => bytes(bytesCopied),
    value: ({ bytesCopied }) => bytesCopied,
    className: "number",
  },
  {
    name: "Indexes",
    cell: (one) => `${count(one.indexesCompleted)} of ${count(one.indexesTotal)}`,
    value: (one) => one.indexesCompleted,
    className: "number minor",
  },
];

const changesOf = (one: DatabaseDetails): number => one.cdcInsertCounter + one.cdcUpdateCounter + one.cdcDeleteCounter;

const onlineColumns: readonly Column<DatabaseDetails>[] = [
  {
    name: "Changes applied",
    cell: (one) =>
      element(
        "span",
        {
          title: `${count(one.cdcInsertCounter)} inserts, ${count(one.cdcUpdateCounter)} updates, ${count(one.cdcDeleteCounter)} deletes`,
        },
        count(changesOf(one)),
      ),
    value: changesOf,
    className: "number",
  },
  { name: "Behind", cell: lagOf, value: ({ lagBytes }) => lagBytes },
];

/** Copied, being copied, failed and waiting tables as segments of one bar. */
function tablesBar(one: DatabaseDetails): Node {
  const segments = [
    ["copied", one.fullLoadCompletedTables],
    ["being copied", one.fullLoadLoadingTables],
    ["failed", one.fullLoadErroredTables],
    ["waiting", one.fullLoadQueuedTables],
  ] as const;
  const label = segments
    .filter(([name, tables]) => tables > 0 || name === "copied")
    .map(([name, tables]) => `${count(tables)} ${name}`)
    .join(", ");
  const all = Math.max(1, tablesOf(one));
  const parts = segments.map(([name, tables]) => {
    const part = element("span", { class: name.replace(" ", "-") });
    part.style.flexGrow = String(tables / all);
    return part;
  });
  return element(
    "span",
    { class: "share" },
    element("span", { class: "segments", role: "img", "aria-label": label, title: label }, ...parts),
    `${count(one.fullLoadCompletedTables)} of ${count(tablesOf(one))}`,
  );
}

function comparedOf(one: DatabaseDetails): Node | string {
  const { compared, different, counted } = comparisonOf(one);
  if (compared === 0) return "";
  if (different > 0) return element("span", { class: "bad" }, `${count(different)} of ${count(compared)} differ`);
  return `${count(compared)} equal${counted > 0 ? `, ${count(counted)} by row count` : ""}`;
}

/** What the database does now, or why it failed. */
function detailOf(one: DatabaseDetails): Node | undefined {
  const hasFailed = one.migrationState === "Failed";
  const hasEndedWell = one.migrationState === "Succeeded" || one.migrationState === "Canceled";
  const facts = databaseFacts(one);
  const isIdle = hasEndedWell || hasFailed || facts.length > 0;
  const doing = one.message ?? (isIdle ? undefined : one.migrationOperation);
  if (doing === undefined && facts.length === 0) return undefined;
  return element(
    "div",
    { class: "facts" },
    ...(doing === undefined ? [] : [element("span", { class: hasFailed ? "error" : "quiet" }, doing)]),
    ...facts.map((fact) => element("span", { class: "stream quiet" }, fact)),
  );
}
