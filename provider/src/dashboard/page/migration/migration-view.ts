import type { MigrationResource } from "../../../display/migration-resource.js";
import { hasDatabaseEnded, hasEnded, type DatabaseState } from "../../../status.js";
import type { EventRecord } from "../../../store/read-events.js";
import type { TableRecord } from "../../../store/read-tables.js";
import type { HistorySample, PageSettings } from "../../messages.js";
import { databasesQuery, pageActions, type PageAction } from "./actions.js";
import { confirm } from "../components/confirm.js";
import { cutoverPart } from "./cutover.js";
import { DatabasesPart } from "./databases.js";
import { button, element } from "../components/element.js";
import { findingsOf, findingsPart, hasFailedFinding } from "./findings.js";
import { logTime, timeZone } from "../components/format.js";
import { HistoryPart } from "./history.js";
import { lagText, measuredLag, unknownSince } from "./lag.js";
import { nextStepPart } from "./next-step.js";
import { statusPill } from "../components/pill.js";
import { post } from "../components/post.js";
import { routePart } from "./route.js";
import { stepper } from "./stepper.js";
import { summaryPart } from "./summary.js";
import { VirtualTable } from "../components/virtual-table.js";
import { targetPrefix } from "../target-prefix.js";

/** One migration, live. Each part is redrawn only when its content changes. */
export class MigrationView {
  #migration: MigrationResource | null = null;
  readonly #heading = element("h1");
  readonly #state = element("span");
  readonly #actions = element("div", { class: "bar" });
  readonly #parts = new Map<string, { root: HTMLElement; drawn: string }>();
  readonly #databases = new DatabasesPart();
  readonly #tables = new VirtualTable();
  readonly #events = element("ol", { class: "events", tabindex: "0", "aria-label": "Events" });
  readonly #history = new HistoryPart();
  readonly #rest = element("div", { hidden: "" });
  readonly #clock = setInterval(() => this.#drawSummary(), 1000);

  constructor(
    root: HTMLElement,
    readonly name: string,
    readonly settings: PageSettings,
  ) {
    this.#heading.textContent = name;
    this.#rest.append(
      reportLinks(name),
      this.#part("summary"),
      this.#part("failures"),
      this.#databases.root,
      this.#part("cutover"),
      this.#history.root,
      element("section", {}, element("h2", {}, "Tables"), this.#tables.root),
      this.#part("findings"),
      element(
        "section",
        {},
        element("h2", {}, "Events ", element("small", { class: "quiet" }, `times in ${timeZone}`)),
        this.#events,
      ),
    );
    root.replaceChildren(
      element("div", { class: "top" }, element("div", { class: "title" }, this.#heading, this.#state), this.#actions),
      this.#part("state"),
      this.#rest,
    );
    this.#fill("state", "unread", () => [element("p", { class: "quiet" }, "Reading the target...")]);
  }

  showMigration(migration: MigrationResource | null): void {
    this.#migration = migration;
    this.#rest.hidden = migration === null;
    if (!migration) {
      this.#state.replaceChildren();
      this.#actions.replaceChildren();
      this.#fill("state", "gone", () => [
        element("p", { class: "bad" }, "No migration of this name is recorded on the target."),
      ]);
      return;
    }
    const { state = "InProgress", currentSubStateDetails: details, cutoverTimeline = [] } = migration.currentStatus;
    const databases = Object.values(details?.dbDetails ?? {});
    this.#state.replaceChildren(statusPill(migration));
    this.#fill("state", [migration], () => [routePart(migration), stepper(migration), ...nextStepPart(migration)]);
    this.#databases.show(databases, migration.migrationMode === "Online", state);
    this.#drawSummary();
    this.#history.showMigration(migration);
    // Findings that block the migration come first, others last.
    const isBlocked = hasFailedFinding(migration);
    const [place, empty] = isBlocked ? ["failures", "findings"] : ["findings", "failures"];
    this.#fill(place, details?.validationDetails, () => findingsPart(findingsOf(migration), isBlocked));
    this.#fill(empty, null, () => []);
    this.#fill("cutover", cutoverTimeline, () => cutoverPart(cutoverTimeline));
    this.#offerActions(migration);
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

  showHistory(message: { readonly all: boolean; readonly samples: readonly HistorySample[] }): void {
    this.#history.add(message);
  }

  close(): void {
    clearInterval(this.#clock);
    this.#history.close();
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

  #fill(name: string, content: unknown, draw: () => Node[]): void {
    const part = this.#parts.get(name)!;
    const text = JSON.stringify(content ?? null);
    if (part.drawn === text) return;
    part.drawn = text;
    part.root.replaceChildren(...draw());
  }

  /** The buttons stay the same elements, so that they keep the focus. */
  #offerActions({ migrationMode, currentStatus }: MigrationResource): void {
    if (this.settings.readOnly) {
      this.#actions.replaceChildren(element("span", { class: "quiet" }, "Read-only"));
      return;
    }
    if (this.#actions.children.length === 0)
      this.#actions.append(
        button("Cut over", () => this.#confirmCutover(), "main"),
        button("Cancel migration", () => this.#confirmCancel()),
        ...pageActions.map((action) => button(action.label, () => this.#confirm(action))),
      );
    const [cutover, cancel, ...others] = [...this.#actions.querySelectorAll("button")];
    const subState = currentStatus.currentSubStateDetails?.currentSubState;
    const isFollowing = subState === "WaitingForCutoverTrigger";
    for (const [i, { subState: shownIn }] of pageActions.entries()) others[i]!.hidden = shownIn !== subState;
    cutover!.hidden = migrationMode === "Offline";
    cutover!.disabled = !isFollowing;
    cancel!.disabled = hasEnded(currentStatus.state ?? "InProgress");
  }

  #confirmCutover(): void {
    confirm({
      title: `Cut over ${this.name}?`,
      lines: () => [
        this.#lagSentence(),
        "Stop all applications that write to the source first: what they commit from now on is not migrated.",
        "The worker applies all earlier commits, updates the sequences, compares both sides, and drops the slot and the publication. This cannot be undone.",
      ],
      agree: "Cut over now",
      choices: this.#databasesIn((state) => state === "WaitingForCutoverTrigger"),
      run: (chosen) =>
        this.#request(
          "cutover",
          databasesQuery(
            chosen,
            this.#databasesIn(() => true),
          ),
        ),
    });
  }

  #lagSentence(): string {
    const databases = Object.values(this.#migration?.currentStatus.currentSubStateDetails?.dbDetails ?? {});
    const lag = measuredLag(databases);
    if (lag) return `The target is ${lagText(lag)} behind the source.`;
    return `How far the target is behind the source is ${unknownSince(databases) ?? "unknown"}.`;
  }

  #confirmCancel(): void {
    confirm({
      title: `Cancel ${this.name}?`,
      lines: () => [
        "The worker drops the slots and publications of the canceled databases on the source. Another attempt copies these databases from the beginning.",
        "Data that was copied stays on the target.",
      ],
      agree: "Cancel the migration",
      choices: this.#databasesIn((state) => !hasDatabaseEnded(state)),
      run: (chosen) =>
        this.#request(
          "cancel",
          databasesQuery(
            chosen,
            this.#databasesIn(() => true),
          ),
        ),
    });
  }

  #confirm({ path, label, agree, lines, query }: PageAction): void {
    confirm({
      title: `${label}: ${this.name}?`,
      lines: () => lines,
      agree,
      run: () => this.#request(path, query?.()),
    });
  }

  #databasesIn(isWanted: (state: DatabaseState) => boolean): string[] {
    return Object.values(this.#migration?.currentStatus.currentSubStateDetails?.dbDetails ?? {})
      .filter(({ migrationState }) => isWanted(migrationState))
      .map(({ databaseName }) => databaseName);
  }

  async #request(action: string, query = new URLSearchParams()): Promise<void> {
    const path = `${targetPrefix()}/api/migrations/${this.name}/${action}`;
    await post(query.size > 0 ? `${path}?${query.toString()}` : path);
  }
}

function reportLinks(name: string): HTMLElement {
  const path = `${targetPrefix()}/api/migrations/${name}/report`;
  return element(
    "nav",
    { class: "links", "aria-label": "Report" },
    element("a", { href: `${path}.html`, target: "_blank", rel: "noopener" }, "Report"),
    element("a", { href: `${path}.html`, download: `${name}.html` }, "Save as HTML"),
    element("a", { href: path, download: `${name}.json` }, "Save as JSON"),
  );
}

function eventLine({ at, level, database, message }: EventRecord): HTMLElement {
  const tone = level === "error" ? "bad" : level === "warning" ? "warn" : "";
  return element(
    "li",
    { class: tone },
    element("time", { datetime: at }, logTime(at)),
    ` ${database === undefined ? "" : `[${database}] `}${message}`,
  );
}
