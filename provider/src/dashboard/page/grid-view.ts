import type { MigrationListItem } from "../../fleet/list-overviews.js";
import type { PageSettings } from "../messages.js";
import { hasEnded } from "../../status.js";
import { DataTable, type Column } from "./components/data-table.js";
import { element, progress } from "./components/element.js";
import { bytes, dateTime, elapsed, seconds } from "./components/format.js";
import { statusPill } from "./components/pill.js";
import { targetPrefix } from "./target-prefix.js";

/** All migrations into the target, newest first. */
export class GridView {
  #migrations: readonly MigrationListItem[] | undefined;
  readonly #search = element("input", { type: "search", placeholder: "Search", "aria-label": "Search migrations" });
  readonly #filter = element(
    "select",
    { "aria-label": "Which migrations" },
    element("option", { value: "all" }, "All"),
    element("option", { value: "active" }, "Active"),
  );
  readonly #table = new DataTable({ label: "Migrations", columns, key: ({ name }) => name });
  readonly #note = element("p", { role: "status", class: "quiet" }, "Reading the target...");
  readonly #clock = setInterval(() => this.#draw(), 1000);

  constructor(root: HTMLElement, { readOnly }: PageSettings) {
    const link = element("a", { href: `#${targetPrefix()}/new`, class: "button" }, "New migration");
    root.replaceChildren(
      element("div", { class: "top" }, element("h1", {}, "Migrations"), ...(readOnly ? [] : [link])),
      element("div", { class: "bar" }, this.#search, this.#filter, this.#note),
      this.#table.root,
    );
    this.#search.addEventListener("input", () => this.#draw());
    this.#filter.addEventListener("change", () => this.#draw());
    this.#draw();
  }

  show(migrations: readonly MigrationListItem[]): void {
    this.#migrations = migrations;
    this.#draw();
  }

  close(): void {
    clearInterval(this.#clock);
  }

  #draw(): void {
    const all = this.#migrations;
    const shown = (all ?? []).filter((one) => this.#isShown(one));
    this.#table.root.hidden = shown.length === 0;
    this.#table.show(shown);
    if (!all) return;
    const note = noteOf(shown.length, all.length);
    if (this.#note.textContent !== note) this.#note.textContent = note;
  }

  #isShown(migration: MigrationListItem): boolean {
    if (this.#filter.value === "active" && hasEnded(migration.currentStatus.state ?? "InProgress")) return false;
    const text = [migration.name, migration.currentStatus.state, sourceOf(migration), ...migration.dbsToMigrate];
    return text.join(" ").toLowerCase().includes(this.#search.value.trim().toLowerCase());
  }
}

function noteOf(shown: number, all: number): string {
  if (all === 0)
    return "No migration into this server is recorded. Start one here, with pulumi up or with pg-migration create.";
  return shown === 0 ? `None of ${all} migrations matches.` : `${shown} of ${all} migrations`;
}

const sourceOf = ({ sourceDbServerResourceId }: MigrationListItem): string =>
  sourceDbServerResourceId.split("@")[0]!.replace(/:5432$/, "");

const secondsOf = ({ startedOn, endedOn }: MigrationListItem): number =>
  ((endedOn === undefined ? Date.now() : Date.parse(endedOn)) - Date.parse(startedOn)) / 1000;

function behindOf({ overview, currentStatus }: MigrationListItem): string {
  if (!overview || overview.lagBytes === null || overview.lagSeconds === null) return "";
  if (currentStatus.worker?.state !== "running") return "unknown";
  return `${bytes(overview.lagBytes)}, ${seconds(overview.lagSeconds)}`;
}

function progressOf({ name, overview }: MigrationListItem): Node | string {
  if (!overview) return "";
  return element(
    "span",
    { class: "share" },
    progress(`copied of ${name}`, overview.percent, 100),
    `${overview.percent} %`,
  );
}

const columns: readonly Column<MigrationListItem>[] = [
  {
    name: "Name",
    cell: ({ name }) => element("a", { href: `#${targetPrefix()}/migrations/${name}` }, name),
    value: ({ name }) => name,
    className: "name",
  },
  { name: "Status", cell: statusPill, value: ({ currentStatus }) => currentStatus.state ?? "", className: "status" },
  { name: "Copied", cell: progressOf, value: ({ overview }) => overview?.percent ?? 101 },
  { name: "Behind", cell: behindOf, value: ({ overview }) => overview?.lagBytes ?? -1 },
  {
    name: "Worker",
    cell: ({ currentStatus }) => currentStatus.worker?.state ?? "",
    value: ({ currentStatus }) => currentStatus.worker?.state ?? "",
    className: "minor",
  },
  { name: "Source", cell: sourceOf, value: sourceOf, className: "minor" },
  {
    name: "Databases",
    cell: ({ dbsToMigrate }) => dbsToMigrate.join(", "),
    value: ({ dbsToMigrate }) => dbsToMigrate.join(", "),
    className: "minor wrap",
  },
  { name: "Duration", cell: (one) => elapsed(secondsOf(one)), value: secondsOf, className: "number" },
  {
    name: "Started",
    cell: ({ startedOn }) => dateTime(startedOn),
    value: ({ startedOn }) => startedOn,
    className: "minor",
  },
];
