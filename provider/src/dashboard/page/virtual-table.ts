import { formatBytes } from "../../units/byte-size.js";
import type { TableRecord } from "../../store/read-tables.js";
import { element, progress } from "./element.js";
import { count, tone } from "./format.js";

const rowHeight = 32;
const spareRows = 6;
const mostRowsInSight = 14;
const head = ["Table", "State", "Rows", "Bytes", "Indexes", "Equal"];

/** Thousands of tables, of which only those in sight are in the document. */
export class VirtualTable {
  readonly root: HTMLElement;
  #tables: TableRecord[] = [];
  #shown: TableRecord[] = [];
  readonly #search = element("input", { type: "search", placeholder: "Search", "aria-label": "Search tables" });
  readonly #only = element(
    "select",
    { "aria-label": "Which tables" },
    ...["all", "loading", "queued", "completed", "errored", "different"].map((value) =>
      element("option", { value }, value),
    ),
  );
  readonly #space = element("div", { role: "presentation" });
  readonly #body = element(
    "div",
    { class: "body", role: "rowgroup", tabindex: "0", "aria-label": "Tables" },
    this.#space,
  );
  readonly #table: HTMLElement;
  #frame = 0;

  constructor() {
    const headRow = element(
      "div",
      { class: "row", role: "row" },
      ...head.map((name) => element("strong", { role: "columnheader" }, name)),
    );
    this.#table = element(
      "div",
      { class: "virtual", role: "table", "aria-label": "Tables" },
      element("div", { role: "rowgroup" }, headRow),
      this.#body,
    );
    const scroll = element("div", { class: "scroll" }, this.#table);
    this.root = element("div", {}, element("div", { class: "bar" }, this.#search, this.#only), scroll);
    this.#body.addEventListener("scroll", () => this.#drawSoon());
    this.#search.addEventListener("input", () => this.#select());
    this.#only.addEventListener("change", () => this.#select());
  }

  /** Takes over what has changed, or all. */
  update({ all, tables }: { readonly all: boolean; readonly tables: readonly TableRecord[] }): void {
    const byKey = new Map(all ? [] : this.#tables.map((one) => [keyOf(one), one]));
    for (const one of tables) byKey.set(keyOf(one), one);
    this.#tables = [...byKey.values()];
    this.#select();
  }

  #select(): void {
    const wanted = this.#search.value.trim().toLowerCase();
    const only = this.#only.value;
    this.#shown = this.#tables.filter((one) => {
      if (only === "different" ? one.equal !== false : only !== "all" && one.state !== only) return false;
      return `${one.database} ${one.schema}.${one.table}`.toLowerCase().includes(wanted);
    });
    this.#space.style.height = `${this.#shown.length * rowHeight}px`;
    this.#body.style.height = `${Math.max(1, Math.min(this.#shown.length, mostRowsInSight)) * rowHeight}px`;
    this.#table.setAttribute("aria-rowcount", String(this.#shown.length + 1));
    this.#drawSoon();
  }

  #drawSoon(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw(): void {
    const first = Math.max(0, Math.floor(this.#body.scrollTop / rowHeight) - spareRows);
    const most = Math.ceil(this.#body.clientHeight / rowHeight) + 2 * spareRows;
    const rows = this.#shown.slice(first, first + most).map((one, i) => rowOf(one, first + i));
    this.#space.replaceChildren(...rows);
  }
}

const keyOf = (one: TableRecord): string => JSON.stringify([one.database, one.schema, one.table]);

function rowOf(one: TableRecord, index: number): HTMLElement {
  const name = `${one.schema}.${one.table}`;
  const equal = one.equal === null ? "" : one.equal ? (one.by === "counts" ? "counted" : "yes") : "no";
  const row = element(
    "div",
    { class: "row", role: "row", "aria-rowindex": String(index + 2) },
    element("span", { role: "cell", title: one.error ?? `${one.database}: ${name}` }, name),
    element("span", { role: "cell", class: tone(one.state) }, one.state),
    element(
      "span",
      { role: "cell" },
      progress(`rows of ${name}`, one.rowsCopied, one.rowsEstimated),
      ` ${count(one.rowsCopied)}`,
    ),
    element(
      "span",
      { role: "cell" },
      progress(`bytes of ${name}`, one.state === "completed" ? one.bytesTotal : one.bytesCopied, one.bytesTotal),
      ` ${formatBytes(one.bytesCopied)}`,
    ),
    element("span", { role: "cell" }, `${one.indexesCompleted}/${one.indexesTotal}`),
    element("span", { role: "cell", class: equal === "no" ? "bad" : "good" }, equal),
  );
  row.style.transform = `translateY(${index * rowHeight}px)`;
  return row;
}
