import { gridColumns } from "../../display/grid-columns.js";
import type { MigrationResource } from "../../display/migration-resource.js";
import { hasEnded } from "../../status.js";
import { element } from "./element.js";
import { clock, time, tone } from "./format.js";

/** All migrations, as the portal lists them, newest first. */
export class GridView {
  #migrations: readonly MigrationResource[] = [];
  readonly #search = element("input", { type: "search", placeholder: "Search", "aria-label": "Search migrations" });
  readonly #filter = element(
    "select",
    { "aria-label": "Which migrations" },
    element("option", { value: "all" }, "All"),
    element("option", { value: "active" }, "Active"),
  );
  readonly #body = element("tbody");
  readonly #note = element("p", { role: "status", class: "quiet" });
  readonly #clock = setInterval(() => this.#tick(), 1000);

  constructor(root: HTMLElement) {
    const head = element("tr", {}, ...gridColumns.map((name) => element("th", { scope: "col" }, name)));
    const grid = element("table", { class: "cards" }, element("thead", {}, head), this.#body);
    const scroll = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Migrations" }, grid);
    root.replaceChildren(
      element("h1", {}, "Migrations"),
      element("div", { class: "bar" }, this.#search, this.#filter),
      this.#note,
      scroll,
    );
    this.#search.addEventListener("input", () => this.#draw());
    this.#filter.addEventListener("change", () => this.#draw());
  }

  show(migrations: readonly MigrationResource[]): void {
    this.#migrations = migrations;
    this.#draw();
  }

  close(): void {
    clearInterval(this.#clock);
  }

  /** Rows stay where only their words change, so that whoever is on a link stays there. */
  #draw(): void {
    const shown = this.#migrations.filter((one) => this.#isShown(one));
    this.#note.textContent =
      this.#migrations.length === 0
        ? "Nothing has been migrated into this server yet. Begin with pulumi up, or pg-migration create."
        : `${shown.length} of ${this.#migrations.length} migrations`;
    const old = new Map([...this.#body.rows].map((row) => [row.dataset.name, row]));
    const rows = shown.map((one) => fill(old.get(one.name) ?? emptyRow(one.name), one));
    const isSame = rows.length === this.#body.rows.length && rows.every((row, i) => this.#body.rows[i] === row);
    if (!isSame) this.#body.replaceChildren(...rows);
  }

  #isShown(migration: MigrationResource): boolean {
    if (this.#filter.value === "active" && hasEnded(migration.currentStatus.state ?? "InProgress")) return false;
    const text = [migration.name, migration.currentStatus.state, source(migration), ...migration.dbsToMigrate].join(
      " ",
    );
    return text.toLowerCase().includes(this.#search.value.trim().toLowerCase());
  }

  #tick(): void {
    if (this.#migrations.some(({ endedOn }) => endedOn === undefined)) this.#draw();
  }
}

const source = ({ sourceDbServerResourceId }: MigrationResource): string => sourceDbServerResourceId.split("@")[0]!;

function emptyRow(name: string): HTMLTableRowElement {
  const row = element("tr", {}, ...gridColumns.map((label) => element("td", { "data-label": label })));
  row.dataset.name = name;
  row.cells[0]!.append(element("a", { href: `#/migrations/${name}` }, name));
  return row;
}

function fill(row: HTMLTableRowElement, one: MigrationResource): HTMLTableRowElement {
  const state = one.currentStatus.state ?? "";
  const end = one.endedOn === undefined ? Date.now() : Date.parse(one.endedOn);
  const words = [
    state,
    one.migrationMode,
    one.migrationOption,
    source(one),
    one.sourceType,
    one.dbsToMigrate.join(", "),
    clock((end - Date.parse(one.startedOn)) / 1000),
    time(one.startedOn),
  ];
  for (const [i, text] of words.entries()) {
    const cell = row.cells[i + 1]!;
    if (cell.textContent !== text) cell.textContent = text;
  }
  row.cells[1]!.className = `state ${tone(state)}`;
  return row;
}
