import type { MigrationResource } from "../../migration-resource.js";
import type { DatabaseDetails, ValidationMessage } from "../../status.js";
import type { EventRecord } from "../../store/read-events.js";
import type { TableRecord } from "../../store/read-tables.js";
import type { HistorySample, PageSettings } from "../messages.js";
import { Chart } from "./chart.js";
import { confirm } from "./confirm.js";
import { button, element, progress, table } from "./element.js";
import { bytes, count, duration, time, tone } from "./format.js";
import { stepper } from "./stepper.js";
import { VirtualTable } from "./virtual-table.js";

/** One migration, live. Each part is drawn anew only when what it shows has changed. */
export class MigrationView {
  #migration: MigrationResource | null = null;
  #samples: HistorySample[] = [];
  readonly #heading = element("h1");
  readonly #actions = element("div", { class: "bar" });
  readonly #parts = new Map<string, { root: HTMLElement; drawn: string }>();
  readonly #tables = new VirtualTable();
  readonly #events = element("ol", { class: "events", tabindex: "0", "aria-label": "Events" });
  readonly #charts = [
    new Chart({ label: "Copied per second", value: (one) => one.bytesPerSecond, format: bytes }),
    new Chart({ label: "Behind the source", value: (one) => one.lagBytes, format: bytes }),
  ];

  constructor(
    root: HTMLElement,
    readonly name: string,
    readonly settings: PageSettings,
  ) {
    this.#heading.textContent = name;
    root.replaceChildren(
      this.#heading,
      this.#part("state"),
      this.#actions,
      this.#part("databases"),
      this.#part("findings"),
      this.#part("cutover"),
      element(
        "section",
        {},
        element("h2", {}, "Over time"),
        element("div", { class: "charts" }, ...this.#charts.map((chart) => chart.root)),
      ),
      element("section", {}, element("h2", {}, "Tables"), this.#tables.root),
      element("section", {}, element("h2", {}, "Events"), this.#events),
    );
  }

  showMigration(migration: MigrationResource | null): void {
    this.#migration = migration;
    if (!migration) {
      this.#fill("state", "gone", () => [
        element("p", { class: "bad" }, "This migration is not recorded on the target."),
      ]);
      this.#actions.replaceChildren();
      return;
    }
    const { currentStatus } = migration;
    const details = currentStatus.currentSubStateDetails;
    const databases = Object.values(details?.dbDetails ?? {});
    this.#fill(
      "state",
      [currentStatus.state, details?.currentSubState, currentStatus.worker, currentStatus.error],
      () => stateOf(migration),
    );
    this.#fill("databases", databases, () => databasesPart(databases));
    this.#fill("findings", details?.validationDetails, () => findingsPart(migration));
    this.#fill("cutover", currentStatus.cutoverTimeline, () => cutoverPart(migration));
    this.#offer(migration);
  }

  showTables(message: { readonly all: boolean; readonly tables: readonly TableRecord[] }): void {
    this.#tables.update(message);
  }

  showEvents({ all, events }: { readonly all: boolean; readonly events: readonly EventRecord[] }): void {
    if (all) this.#events.replaceChildren();
    const isAtEnd = this.#events.scrollHeight - this.#events.scrollTop - this.#events.clientHeight < 40;
    this.#events.append(...events.map(eventLine));
    if (all || isAtEnd) this.#events.scrollTop = this.#events.scrollHeight;
  }

  showHistory({ all, samples }: { readonly all: boolean; readonly samples: readonly HistorySample[] }): void {
    this.#samples = [...(all ? [] : this.#samples), ...samples];
    for (const chart of this.#charts) chart.show(this.#samples);
  }

  close(): void {
    for (const chart of this.#charts) chart.close();
  }

  #part(name: string): HTMLElement {
    const root = element("section", { id: `part-${name}` });
    this.#parts.set(name, { root, drawn: "" });
    return root;
  }

  #fill(name: string, shows: unknown, draw: () => Node[]): void {
    const part = this.#parts.get(name)!;
    const text = JSON.stringify(shows ?? null);
    if (part.drawn === text) return;
    part.drawn = text;
    part.root.replaceChildren(...draw());
  }

  /** The buttons stay the same elements, so that nobody's focus is lost. */
  #offer({ migrationMode, currentStatus }: MigrationResource): void {
    if (this.settings.readOnly) {
      this.#actions.replaceChildren(element("span", { class: "quiet" }, "Read-only"));
      return;
    }
    if (this.#actions.children.length === 0)
      this.#actions.append(
        button("Cut over", () => this.#askCutover(), "main"),
        button("Cancel migration", () => this.#askCancel()),
      );
    const [cutover, cancel] = [...this.#actions.querySelectorAll("button")];
    const hasEnded = ["Succeeded", "Failed", "ValidationFailed", "Canceled"].includes(currentStatus.state ?? "");
    cutover!.hidden = migrationMode === "Offline";
    cutover!.disabled = currentStatus.state !== "WaitingForUserAction";
    cancel!.disabled = hasEnded;
  }

  #askCutover(): void {
    const databases = Object.values(this.#migration?.currentStatus.currentSubStateDetails?.dbDetails ?? {});
    const lag = databases.reduce((sum, one) => sum + one.lagBytes, 0);
    const latency = Math.max(0, ...databases.map((one) => one.latency));
    confirm({
      title: `Cut ${this.name} over?`,
      lines: [
        `The target is ${bytes(lag)} and ${latency.toFixed(1)} s behind the source.`,
        "Stop what writes to the source first: what it commits after this moment stays there.",
        "Then all commits until now are applied, sequences carried over, both sides compared, and slot and publication dropped. This cannot be taken back.",
      ],
      agree: "Cut over now",
      run: () => this.#ask("cutover"),
    });
  }

  #askCancel(): void {
    confirm({
      title: `Cancel ${this.name}?`,
      lines: [
        "The worker stops, and slot and publication on the source are dropped, so that it cannot go on from here.",
        "What was copied stays on the target.",
      ],
      agree: "Cancel the migration",
      run: () => this.#ask("cancel"),
    });
  }

  async #ask(what: "cutover" | "cancel"): Promise<void> {
    const response = await fetch(`/api/migrations/${this.name}/${what}`, { method: "POST" });
    if (response.ok) return;
    const { error } = (await response.json()) as { error: string };
    throw new Error(error);
  }
}

function stateOf(migration: MigrationResource): Node[] {
  const { state = "", currentSubStateDetails, worker, error } = migration.currentStatus;
  const who =
    worker?.state === "running"
      ? `worker ${worker.pid ?? ""} on ${worker.host ?? ""}`
      : `worker: ${worker?.state ?? ""}`;
  return [
    stepper(migration),
    element(
      "p",
      { id: "state", role: "status" },
      element("strong", { class: tone(state) }, state),
      ` / ${currentSubStateDetails?.currentSubState ?? ""} `,
      element("span", { class: worker?.state === "lost" ? "bad" : "quiet" }, who),
    ),
    element(
      "p",
      { class: "quiet" },
      `${migration.migrationMode}, ${migration.migrationOption}, from ${migration.sourceDbServerResourceId}, begun ${time(migration.startedOn)}`,
    ),
    ...(error === undefined ? [] : [element("p", { class: "error", role: "alert" }, error)]),
  ];
}

/** What a table takes on disk only tells about what its copy moves: complete is complete. */
const bytesShare = (one: DatabaseDetails): [done: number, all: number] =>
  one.fullLoadCompletedTables > 0 &&
  one.fullLoadQueuedTables + one.fullLoadLoadingTables + one.fullLoadErroredTables === 0
    ? [1, 1]
    : [one.bytesCopied, one.bytesTotal];

function databasesPart(databases: readonly DatabaseDetails[]): Node[] {
  const head = ["Database", "Status", "Rows", "Bytes", "Copied", "Copying", "Queued", "In error", "Indexes"];
  const rows = databases.map((one) => [
    one.databaseName,
    element(
      "span",
      { class: tone(one.migrationState), title: one.message ?? "" },
      `${one.migrationState}, ${one.migrationOperation}`,
    ),
    element(
      "span",
      {},
      progress(`rows of ${one.databaseName}`, one.rowsCopied, one.rowsEstimated),
      ` ${count(one.rowsCopied)}`,
    ),
    element("span", {}, progress(`bytes of ${one.databaseName}`, ...bytesShare(one)), ` ${bytes(one.bytesCopied)}`),
    count(one.fullLoadCompletedTables),
    count(one.fullLoadLoadingTables),
    count(one.fullLoadQueuedTables),
    count(one.fullLoadErroredTables),
    `${one.indexesCompleted}/${one.indexesTotal}`,
    `${count(one.cdcInsertCounter)} / ${count(one.cdcUpdateCounter)} / ${count(one.cdcDeleteCounter)}`,
    `${bytes(one.lagBytes)}, ${one.latency.toFixed(1)} s`,
    one.tablesDifferent > 0
      ? element("span", { class: "bad" }, `${one.tablesDifferent} of ${one.tablesCompared} differ`)
      : `${one.tablesCompared} equal`,
  ]);
  const all = [...head, "Inserts / updates / deletes", "Behind", "Verified"];
  return [element("h2", {}, "Databases"), table("Databases", all, rows, [4, 5, 6, 7])];
}

function findingsPart(migration: MigrationResource): Node[] {
  const details = migration.currentStatus.currentSubStateDetails?.validationDetails;
  if (!details) return [];
  const own = details.serverLevelValidationDetails.flatMap(({ messages }) =>
    messages.map((message) => ({ message, database: "" })),
  );
  const ofDatabases = details.dbLevelValidationDetails.flatMap(({ databaseName, summary }) =>
    summary.flatMap(({ messages }) => messages.map((message) => ({ message, database: databaseName }))),
  );
  const order = ["Failed", "Warning", "Succeeded"];
  const all = [...own, ...ofDatabases].sort((a, b) => order.indexOf(a.message.state) - order.indexOf(b.message.state));
  const rows = all.map(({ message, database }) => [
    element("span", { class: tone(message.state) }, message.state),
    message.code ?? "",
    [database, message.object].filter(Boolean).join(" "),
    message.objectType ?? "",
    message.message,
    remedy(message),
  ]);
  const head = ["Finding status", "Code", "Impacted object", "Object type", "Finding", "To do"];
  const shown = table("Validation", head, rows);
  for (const row of shown.querySelectorAll("tbody tr"))
    for (const cell of [...row.children].slice(4)) cell.className = "wrap";
  return [element("h2", {}, "Validation"), shown];
}

function remedy({ remedy: text, state }: ValidationMessage): Node | string {
  if (text === undefined || state === "Succeeded") return "";
  const copy = button("Copy", () => {
    navigator.clipboard.writeText(text).then(
      () => (copy.textContent = "Copied"),
      // Where the browser forbids it, the text can still be marked.
      () => (copy.textContent = "Select and copy it"),
    );
  });
  return element("span", {}, element("code", {}, text), " ", copy);
}

function cutoverPart(migration: MigrationResource): Node[] {
  const timeline = migration.currentStatus.cutoverTimeline ?? [];
  if (timeline.length === 0) return [];
  const longest = Math.max(...timeline.map(({ seconds }) => seconds));
  const rows = timeline.map(({ step, seconds }) => [
    step,
    progress(step, seconds, longest),
    seconds < 10 ? `${seconds.toFixed(2)} s` : duration(seconds),
  ]);
  return [element("h2", {}, "Cutover"), table("Cutover", ["Step", "Share", "Took"], rows, [2])];
}

function eventLine({ at, level, database, message }: EventRecord): HTMLElement {
  const text = `${new Date(at).toLocaleTimeString()} ${database === undefined ? "" : `[${database}] `}${message}`;
  return element("li", { class: level === "error" ? "bad" : level === "warning" ? "warn" : "" }, text);
}
