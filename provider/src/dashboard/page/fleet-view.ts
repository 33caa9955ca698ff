import { needsUser } from "../../fleet/attention.js";
import { keyOf as keyOfFinding, type FindingGroup } from "../../display/finding-groups.js";
import { compareRows, findingsOf, isPending, type FleetRow } from "../../fleet/fleet-rows.js";
import { enumerate } from "../../units/enumerate.js";
import type { Messages } from "../messages.js";
import { DataTable, type Column } from "./components/data-table.js";
import { button, element, progress } from "./components/element.js";
import { bytes, count, dateTime, seconds, words } from "./components/format.js";
import { icon, pill } from "./components/pill.js";
import { codeLink } from "./migration/findings.js";

interface Group {
  readonly name: string;
  readonly has: (row: FleetRow) => boolean;
  /** Shown also without a row. */
  readonly isPermanent?: boolean;
}

const groups: readonly Group[] = [
  { name: "All", has: () => true, isPermanent: true },
  { name: "Needs attention", has: ({ rank }) => needsUser(rank), isPermanent: true },
  { name: "Failed", has: ({ rank }) => rank === 0 },
  { name: "Worker lost", has: ({ rank }) => rank === 1 },
  { name: "Unreachable", has: ({ rank }) => rank === 2 },
  { name: "Waiting for you", has: ({ rank }) => rank === 3 },
  { name: "Running", has: ({ rank }) => rank === 4 },
  { name: "Ended", has: ({ rank, state }) => rank === 5 && state !== null },
  { name: "Without a migration", has: (row) => row.rank === 5 && row.state === null && !isPending(row) },
];

/** The migrations on all targets of a list. Those that need a user come first. */
export class FleetView {
  readonly #rows = new Map<string, readonly FleetRow[]>();
  #group = groups[0]!;
  readonly #problems = element("div", { role: "status" });
  readonly #search = element("input", { type: "search", placeholder: "Search", "aria-label": "Search targets" });
  readonly #note = element("p", { role: "status", class: "quiet" }, "Reading the list...");
  readonly #table = new DataTable({ label: "Fleet", columns, key: keyOf });
  readonly #findings = new DataTable({ label: "Findings", columns: findingColumns, key: keyOfFinding });
  readonly #findingsPart = element("section", {}, element("h2", {}, "Findings"), this.#findings.root);
  readonly #choices = groups.map((group) => ({ group, choice: button("", () => this.#choose(group), "choice") }));

  constructor(root: HTMLElement) {
    root.replaceChildren(
      element("h1", {}, "Fleet"),
      this.#problems,
      element(
        "div",
        { class: "choices", role: "group", "aria-label": "Which migrations" },
        ...this.#choices.map(({ choice }) => choice),
      ),
      element("div", { class: "bar" }, this.#search, this.#note),
      this.#table.root,
      this.#findingsPart,
    );
    this.#search.addEventListener("input", () => this.#draw());
    this.#draw();
  }

  show({ all, targets }: Messages["fleet"]): void {
    if (all) this.#rows.clear();
    for (const { target, rows } of targets) this.#rows.set(target, rows);
    this.#draw();
  }

  showList({ problems, failure }: Messages["list"]): void {
    const lines = [
      ...(failure === "" ? [] : [`The list cannot be read again: ${failure}`]),
      ...problems.map(({ place, reason }) => `${place}: ${reason}`),
    ];
    const banner = element(
      "div",
      { class: "banner warn" },
      icon("warn"),
      element(
        "div",
        {},
        element("strong", {}, "The list of targets has errors. The other entries are shown."),
        element("ul", {}, ...lines.map((line) => element("li", {}, line))),
      ),
    );
    this.#problems.replaceChildren(...(lines.length === 0 ? [] : [banner]));
  }

  close(): void {
    this.#rows.clear();
  }

  #choose(group: Group): void {
    this.#group = group;
    this.#draw();
  }

  #draw(): void {
    const all = [...this.#rows.values()].flat();
    for (const { group, choice } of this.#choices) {
      const number = all.filter(group.has).length;
      choice.hidden = number === 0 && !group.isPermanent && group !== this.#group;
      choice.setAttribute("aria-pressed", String(group === this.#group));
      const label = `${group.name} ${count(number)}`;
      if (choice.textContent !== label) choice.replaceChildren(`${group.name} `, element("strong", {}, count(number)));
    }
    const wanted = this.#search.value.trim().toLowerCase();
    const shown = all.filter((row) => this.#group.has(row) && textOf(row).includes(wanted)).sort(compareRows);
    this.#table.root.hidden = shown.length === 0;
    this.#table.show(shown);
    const findings = findingsOf(shown);
    this.#findingsPart.hidden = findings.length === 0;
    this.#findings.show(findings);
    const note = this.#rows.size === 0 ? "" : noteOf(shown.length, all, this.#rows.size);
    if (this.#note.textContent !== note) this.#note.textContent = note;
  }
}

function noteOf(shown: number, all: readonly FleetRow[], targets: number): string {
  const pending = all.filter(isPending).length;
  const rest = pending === 0 ? "" : `, ${count(pending)} not read yet`;
  const found =
    shown === 0 ? `None of ${count(all.length)} rows matches` : `${count(shown)} of ${count(all.length)} rows`;
  return `${found}, ${count(targets)} targets${rest}`;
}

const keyOf = ({ target, migration }: FleetRow): string => JSON.stringify([target, migration]);

const textOf = ({ target, server, migration, state, subState, databases, error, unreachable }: FleetRow): string =>
  [target, server, migration, state, subState, error, unreachable, ...databases].join(" ").toLowerCase();

const linkOf = ({ target }: FleetRow): string => `#/targets/${encodeURIComponent(target)}`;

function statusOf(row: FleetRow): Node | string {
  const { state, worker, unreachable } = row;
  if (unreachable !== null) return pill("unreachable", "Unreachable", "bad");
  if (isPending(row)) return pill("reading", "Reading");
  if (state === null) return "";
  return worker === "lost" ? pill("lost", "Worker lost") : pill(state);
}

function copiedOf({ migration, percent }: FleetRow): Node | string {
  if (migration === null || percent === null) return "";
  return element("span", { class: "share" }, progress(`copied of ${migration}`, percent, 100), `${percent} %`);
}

function behindOf({ lagBytes, lagSeconds, worker, unreachable }: FleetRow): string {
  if (lagBytes === null || lagSeconds === null) return "";
  return worker === "running" && unreachable === null ? `${bytes(lagBytes)}, ${seconds(lagSeconds)}` : "unknown";
}

function problemOf({ error, unreachable, different, state, readAt }: FleetRow): string {
  const last =
    state === null || readAt === null ? "" : `${words(state)} at ${dateTime(new Date(readAt).toISOString())}. `;
  if (unreachable !== null) return last + firstLine(unreachable);
  if (error !== null) return firstLine(error);
  return different > 0 ? `${count(different)} tables differ` : "";
}

/** An ended migration needs no worker. */
const workerOf = ({ worker }: FleetRow): string => (worker === null || worker === "ended" ? "" : worker);

const firstLine = (text: string): string => text.split("\n")[0]!;

const columns: readonly Column<FleetRow>[] = [
  {
    name: "Target",
    cell: (row) => element("a", { href: linkOf(row), title: row.server }, row.target),
    value: ({ target }) => target,
    className: "name",
  },
  { name: "Status", cell: statusOf, value: ({ rank, state }) => `${rank} ${state ?? ""}`, className: "status" },
  {
    name: "Migration",
    cell: (row) =>
      row.migration === null ? "" : element("a", { href: `${linkOf(row)}/migrations/${row.migration}` }, row.migration),
    value: ({ migration }) => migration ?? "",
  },
  { name: "Copied", cell: copiedOf, value: ({ percent }) => percent ?? 101 },
  { name: "Behind", cell: behindOf, value: ({ lagBytes }) => lagBytes ?? -1 },
  { name: "Worker", cell: workerOf, value: workerOf, className: "minor" },
  {
    name: "Databases",
    cell: ({ databases }) => databases.join(", "),
    value: ({ databases }) => databases.join(", "),
    className: "minor wrap",
  },
  { name: "Problem", cell: problemOf, value: problemOf, className: "wrap long" },
];

const findingColumns: readonly Column<FindingGroup>[] = [
  { name: "Status", cell: ({ state }) => pill(state), value: ({ state }) => state, className: "status" },
  { name: "Code", cell: ({ code }) => codeLink(code ?? undefined), value: ({ code }) => code ?? "" },
  {
    name: "Migrations",
    cell: ({ members }) => enumerate(members, 10),
    value: ({ members }) => members.length,
    className: "wrap",
  },
  { name: "Finding", cell: ({ meaning }) => meaning, value: ({ meaning }) => meaning, className: "wrap long" },
  { name: "Remedy", cell: ({ remedy }) => remedy ?? "", value: ({ remedy }) => remedy ?? "", className: "wrap long" },
];
