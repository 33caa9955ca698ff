import { formatBytes } from "../../units/byte-size.js";
import { formatDuration } from "../../units/duration.js";
import type { MigrationResource } from "../../display/migration-resource.js";
import { sentenceOf } from "../../display/phases.js";
import { hasEnded, type DatabaseDetails, type ValidationMessage } from "../../status.js";
import { databaseFacts } from "../../display/database-facts.js";
import type { EventRecord } from "../../store/read-events.js";
import type { TableRecord } from "../../store/read-tables.js";
import type { HistorySample, PageSettings } from "../messages.js";
import { Chart } from "./components/chart.js";
import { confirm } from "./confirm.js";
import { button, element, progress, table } from "./element.js";
import { count, tone } from "./format.js";
import { stepper } from "./stepper.js";
import { summaryPart, tablesOf } from "./summary.js";
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
    new Chart({ label: "Copied per second", value: (one) => one.bytesPerSecond, format: formatBytes }),
    new Chart({ label: "Bytes behind the source", value: (one) => one.lagBytes, format: formatBytes }),
    new Chart({
      label: "Seconds behind",
      value: (one) => one.latencySeconds,
      format: (value) => `${value.toFixed(1)} s`,
    }),
  ];
  readonly #clock = setInterval(() => this.#drawSummary(), 1000);

  constructor(
    root: HTMLElement,
    readonly name: string,
    readonly settings: PageSettings,
  ) {
    this.#heading.textContent = name;
    root.replaceChildren(
      element("div", { class: "top" }, this.#heading, this.#actions),
      this.#part("state"),
      this.#part("summary"),
      this.#part("failures"),
      this.#part("databases"),
      this.#part("cutover"),
      element(
        "section",
        {},
        element("h2", {}, "Over time"),
        element("div", { class: "charts" }, ...this.#charts.map((chart) => chart.root)),
      ),
      element("section", {}, element("h2", {}, "Tables"), this.#tables.root),
      this.#part("findings"),
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
    this.#drawSummary();
    for (const chart of this.#charts.slice(1)) chart.root.hidden = migration.migrationMode === "Offline";
    // What stands in the way is read first, what is well last.
    const order = findingsOf(migration).some(({ message }) => message.state === "Failed") ? "failures" : "findings";
    this.#fill(order, details?.validationDetails, () => findingsPart(migration, order === "failures"));
    this.#fill(order === "failures" ? "findings" : "failures", null, () => []);
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
    clearInterval(this.#clock);
    for (const chart of this.#charts) chart.close();
  }

  #drawSummary(): void {
    const migration = this.#migration;
    if (!migration) return;
    const { currentStatus, endedOn } = migration;
    const second = endedOn === undefined ? Math.floor(Date.now() / 1000) : 0;
    this.#fill("summary", [currentStatus, second], () => summaryPart(migration, Date.now()));
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
    cutover!.hidden = migrationMode === "Offline";
    cutover!.disabled = currentStatus.state !== "WaitingForUserAction";
    cancel!.disabled = hasEnded(currentStatus.state ?? "InProgress");
  }

  #askCutover(): void {
    const databases = Object.values(this.#migration?.currentStatus.currentSubStateDetails?.dbDetails ?? {});
    const lag = databases.reduce((sum, one) => sum + one.lagBytes, 0);
    const latency = Math.max(0, ...databases.map((one) => one.latency));
    confirm({
      title: `Cut ${this.name} over?`,
      lines: [
        `The target is ${formatBytes(lag)} and ${latency.toFixed(1)} s behind the source.`,
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
  const subState = currentSubStateDetails?.currentSubState;
  const isLost = worker?.state === "lost";
  return [
    stepper(migration),
    element(
      "p",
      { id: "state", role: "status" },
      element("strong", { class: `state ${tone(state)}` }, state),
      ` ${sentenceOf(subState)} `,
      element("span", { class: "quiet" }, subState ?? ""),
    ),
    ...(isLost
      ? [
          element(
            "p",
            { class: "error", role: "alert" },
            "Nobody works on it: pulumi up, or pg-migration update, starts a worker.",
          ),
        ]
      : []),
    ...(error === undefined ? [] : [element("p", { class: "error", role: "alert" }, error)]),
    element("p", { class: "quiet" }, aboutOf(migration)),
  ];
}

function aboutOf({ currentStatus, ...migration }: MigrationResource): string {
  const { worker, sourceDbServerMetadata: source, targetDbServerMetadata: target } = currentStatus;
  const version = (server: typeof source): string => (server ? ` (PostgreSQL ${server.version})` : "");
  return [
    `${migration.migrationMode}, ${migration.migrationOption}`,
    `from ${migration.sourceDbServerResourceId}${version(source)} to ${migration.targetDbServerFullyQualifiedDomainName}${version(target)}`,
    ...(worker?.state === "running" ? [`worker ${worker.pid ?? ""} on ${worker.host ?? ""}`] : []),
  ].join(" · ");
}

/** What a table takes on disk only tells about what its copy moves: complete is complete. */
const bytesShare = (one: DatabaseDetails): [done: number, all: number] =>
  one.fullLoadCompletedTables > 0 && one.fullLoadCompletedTables === tablesOf(one)
    ? [1, 1]
    : [one.bytesCopied, one.bytesTotal];

const databaseHead = [
  "Database",
  "Rows",
  "Bytes",
  "Copied",
  "Copying",
  "Queued",
  "In error",
  "Indexes",
  "Inserts / updates / deletes",
  "Behind",
  "Verified",
];

function databasesPart(databases: readonly DatabaseDetails[]): Node[] {
  const rows = databases.map((one) => [
    element(
      "span",
      { class: "two" },
      element("strong", {}, one.databaseName),
      element(
        "span",
        { class: tone(one.migrationState), title: one.message ?? "" },
        one.message ?? `${one.migrationState}, ${one.migrationOperation}`,
      ),
    ),
    barred(`rows of ${one.databaseName}`, [one.rowsCopied, one.rowsEstimated], count(one.rowsCopied)),
    barred(`bytes of ${one.databaseName}`, bytesShare(one), formatBytes(one.bytesCopied)),
    count(one.fullLoadCompletedTables),
    count(one.fullLoadLoadingTables),
    count(one.fullLoadQueuedTables),
    element("span", { class: one.fullLoadErroredTables > 0 ? "bad" : "" }, count(one.fullLoadErroredTables)),
    `${one.indexesCompleted}/${one.indexesTotal}`,
    `${count(one.cdcInsertCounter)} / ${count(one.cdcUpdateCounter)} / ${count(one.cdcDeleteCounter)}`,
    `${formatBytes(one.lagBytes)}, ${one.latency.toFixed(1)} s`,
    one.tablesDifferent > 0
      ? element("span", { class: "bad" }, `${one.tablesDifferent} of ${one.tablesCompared} differ`)
      : `${one.tablesCompared} equal${one.tablesCounted > 0 ? `, ${one.tablesCounted} by counts` : ""}`,
  ]);
  const grid = table("Databases", databaseHead, rows, [3, 4, 5, 6, 7]);
  return [element("h2", {}, "Databases"), grid, ...streamLines(databases)];
}

/** Below the table, which has no room for it. */
function streamLines(databases: readonly DatabaseDetails[]): HTMLElement[] {
  return databases.flatMap((one) => {
    const facts = databaseFacts(one);
    if (facts.length === 0) return [];
    return [element("p", { class: "stream" }, element("strong", {}, one.databaseName), ` ${facts.join(" · ")}`)];
  });
}

const barred = (label: string, [done, all]: readonly [number, number], text: string): HTMLElement =>
  element("span", { class: "two" }, progress(label, done, all), text);

interface FoundBy {
  readonly message: ValidationMessage;
  readonly database: string;
}

/** Worst first. */
function findingsOf(migration: MigrationResource): FoundBy[] {
  const details = migration.currentStatus.currentSubStateDetails?.validationDetails;
  if (!details) return [];
  const own = details.serverLevelValidationDetails.flatMap(({ messages }) =>
    messages.map((message) => ({ message, database: "" })),
  );
  const ofDatabases = details.dbLevelValidationDetails.flatMap(({ databaseName, summary }) =>
    summary.flatMap(({ messages }) => messages.map((message) => ({ message, database: databaseName }))),
  );
  const order = ["Failed", "Warning", "Succeeded"];
  return [...own, ...ofDatabases].sort((a, b) => order.indexOf(a.message.state) - order.indexOf(b.message.state));
}

function findingsPart(migration: MigrationResource, isOpen: boolean): Node[] {
  const all = findingsOf(migration);
  if (all.length === 0) return [];
  const rows = all.map(({ message, database }) => [
    element("span", { class: `state ${tone(message.state)}` }, message.state),
    message.code ?? "",
    [database, message.object].filter(Boolean).join(" "),
    message.objectType ?? "",
    message.message,
    remedy(message),
  ]);
  const head = ["Finding status", "Code", "Impacted object", "Object type", "Finding", "To do"];
  const shown = table("Validation", head, rows);
  for (const row of shown.querySelectorAll("tbody tr"))
    for (const cell of [...row.children].slice(4)) cell.classList.add("wrap");
  const counted = ["Failed", "Warning", "Succeeded"]
    .map((state) => [state, all.filter(({ message }) => message.state === state).length] as const)
    .filter(([, number]) => number > 0)
    .map(([state, number]) => `${number} ${state}`);
  const title = element("h2", {}, `Validation: ${counted.join(", ")}`);
  return [element("details", isOpen ? { open: "" } : {}, element("summary", {}, title), shown)];
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
    seconds < 10 ? `${seconds.toFixed(2)} s` : formatDuration(seconds),
  ]);
  return [element("h2", {}, "Cutover"), table("Cutover", ["Step", "Share", "Took"], rows, [2])];
}

function eventLine({ at, level, database, message }: EventRecord): HTMLElement {
  const text = `${new Date(at).toLocaleTimeString()} ${database === undefined ? "" : `[${database}] `}${message}`;
  return element("li", { class: level === "error" ? "bad" : level === "warning" ? "warn" : "" }, text);
}
