import type { ListedDatabase } from "../../messages.js";
import { DataTable, type Column } from "../components/data-table.js";
import { element } from "../components/element.js";
import { bytes, count } from "../components/format.js";

/** The databases of the source, of which the user selects those to migrate. */
export class DatabaseChoice {
  readonly root = element("div", {});
  #boxes: readonly HTMLInputElement[] = [];

  show(listed: readonly ListedDatabase[]): void {
    this.#boxes = listed.map(({ name, unreadable }) => {
      const box = element("input", { type: "checkbox", value: name, "aria-label": `Migrate ${name}` });
      box.disabled = unreadable !== null;
      return box;
    });
    const boxes = new Map(this.#boxes.map((box) => [box.value, box]));
    const select: Column<ListedDatabase> = {
      name: "Migrate",
      cell: ({ name }) => boxes.get(name)!,
      value: ({ name }) => (boxes.get(name)!.checked ? 0 : 1),
    };
    const table = new DataTable({ label: "Databases", columns: [select, ...columns], key: ({ name }) => name });
    table.show(listed);
    this.root.replaceChildren(
      listed.length > 0 ? table.root : element("p", {}, "The source has no database that this role can migrate."),
    );
  }

  chosen(): string[] {
    return this.#boxes.filter(({ checked }) => checked).map(({ value }) => value);
  }
}

const columns: readonly Column<ListedDatabase>[] = [
  { name: "Database", cell: ({ name }) => name, value: ({ name }) => name, className: "name" },
  {
    name: "Size",
    cell: (one) => (one.bytes === null ? "unknown" : bytes(one.bytes)),
    value: (one) => one.bytes ?? -1,
    className: "number",
  },
  {
    name: "Tables",
    cell: ({ tables }) => (tables === null ? "unknown" : count(tables)),
    value: ({ tables }) => tables ?? -1,
    className: "number",
  },
  {
    name: "Blockers",
    cell: ({ unreadable, blockers }) => unreadable ?? blockers.join("\n"),
    value: ({ blockers }) => blockers.length,
    className: "wrap long",
  },
];
