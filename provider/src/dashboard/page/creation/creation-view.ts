import type { MigrationSummary } from "../../../resource/summary/migration-summary.js";
import type { ListedDatabase, PageSettings, StartedMigration } from "../../messages.js";
import { button, element } from "../components/element.js";
import { post } from "../components/post.js";
import { DatabaseChoice } from "./database-choice.js";
import { areaField, choiceField, group, linesOf, switchField, textField, valuesOf } from "./fields.js";
import { summaryPart } from "./summary.js";
import { targetPrefix } from "../target-prefix.js";

/** The inputs of the source. The others belong to the migration. */
const ofSource: readonly string[] = ["host", "port", "user", "password", "sslMode", "sslRootCert"];

const switches = [
  ["overwriteDbsInTarget", "Replace databases that exist on the target"],
  ["migrateRoles", "Also migrate the roles of the source"],
  ["setupLogicalReplicationOnSourceDbIfNeeded", "Online: change settings of the source that replication requires"],
] as const;

/** The inputs with patterns of tables. */
const filters = { include: "Only these tables, one per line", exclude: "Omit these tables, one per line" };

/** A form for a new migration: the source, its databases, options, a summary, and the start. */
export class CreationView {
  readonly #form = element("form", { class: "creation", autocomplete: "off" });
  readonly #databases = new DatabaseChoice();
  readonly #failure = element("p", { class: "error", role: "alert" });
  readonly #summary = element("section", { "aria-label": "Summary", "aria-live": "polite" });
  #isClosed = false;

  constructor(root: HTMLElement, { target }: PageSettings) {
    this.#form.append(
      group(
        "Source",
        ...sourceFields,
        this.#action("List databases", () => this.#list()),
      ),
      this.#databases.root,
      group("Migration", ...migrationFields, ...switches.map(([name, label]) => switchField(name, label))),
      this.#action("Show the summary", () => this.#summarize()),
    );
    // Otherwise the summary would describe another migration than the one that starts.
    this.#form.addEventListener("input", () => this.#summary.replaceChildren());
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    root.replaceChildren(
      element("h1", {}, "New migration"),
      element("p", { class: "quiet" }, `Into ${target}. Nothing changes before the start.`),
      this.#form,
      this.#failure,
      this.#summary,
    );
  }

  close(): void {
    this.#isClosed = true;
    // The form contains a password.
    this.#form.reset();
  }

  async #list(): Promise<void> {
    const listed = await post<readonly ListedDatabase[]>(
      `${targetPrefix()}/api/source-databases`,
      this.#sourceInputs(),
    );
    this.#summary.replaceChildren();
    this.#databases.show(listed);
  }

  async #summarize(): Promise<void> {
    this.#summary.replaceChildren();
    const inputs = this.#inputs();
    const summary = await post<MigrationSummary>(`${targetPrefix()}/api/summary`, inputs);
    if (JSON.stringify(inputs) !== JSON.stringify(this.#inputs())) return;
    const isBlocked = summary.findings.some(({ state }) => state === "Failed");
    const start = this.#action("Start the migration", () => this.#start(inputs), "main");
    this.#summary.replaceChildren(
      ...summaryPart(summary),
      isBlocked ? element("p", { class: "bad" }, "Resolve the failed findings, then show the summary again.") : start,
    );
  }

  async #start(inputs: unknown): Promise<void> {
    const prefix = targetPrefix();
    const { name, workerFailure } = await post<StartedMigration>(`${prefix}/api/migrations`, inputs);
    if (this.#isClosed) return;
    const address = `#${prefix}/migrations/${name}`;
    if (workerFailure === null) {
      location.hash = address;
      return;
    }
    this.#summary.replaceChildren();
    this.#failure.replaceChildren(
      element("a", { href: address }, name),
      ` is recorded, but no worker started: ${workerFailure}`,
    );
  }

  #sourceInputs(): Readonly<Record<string, unknown>> {
    const values = valuesOf(this.#form);
    const source = Object.fromEntries([...values].filter(([name]) => ofSource.includes(name)));
    const { port, ...rest } = source;
    return {
      source: port === undefined ? rest : { ...rest, port: Number(port) },
      migrationMode: values.get("migrationMode"),
    };
  }

  #inputs(): Readonly<Record<string, unknown>> {
    const values = valuesOf(this.#form);
    const chosen = [...values]
      .filter(([name]) => !ofSource.includes(name))
      .map(([name, value]) => [name, name in filters ? { tables: linesOf(value) } : value] as const);
    return { ...Object.fromEntries(chosen), ...this.#sourceInputs(), dbsToMigrate: this.#databases.chosen() };
  }

  /** A button that is disabled while its request runs, and shows the request's failure. */
  #action(label: string, run: () => Promise<void>, className = ""): HTMLButtonElement {
    const created = button(
      label,
      () => {
        this.#failure.textContent = "";
        created.disabled = true;
        run()
          .catch((error: unknown) => {
            this.#failure.textContent = error instanceof Error ? error.message : String(error);
          })
          .finally(() => (created.disabled = false));
      },
      className,
    );
    return created;
  }
}

const sourceFields = [
  textField("host", "Host"),
  textField("port", "Port", { type: "number", min: "1", max: "65535", value: "5432" }),
  textField("user", "Role"),
  textField("password", "Password", { type: "password", autocomplete: "off" }),
  choiceField("sslMode", "TLS", ["Prefer", "Require", "VerifyCA", "VerifyFull", "Disable"]),
  areaField("sslRootCert", "Root certificate (PEM)"),
];

const migrationFields = [
  textField("migrationName", "Name"),
  choiceField("migrationMode", "Mode", ["Online", "Offline"]),
  choiceField("migrationOption", "Option", ["ValidateAndMigrate", "Validate", "Migrate"]),
  choiceField("fence", "Fence", ["none", "readOnly"]),
  choiceField("rollback", "Rollback", ["drop", "keep"]),
  ...Object.entries(filters).map(([name, label]) => areaField(name, label)),
];
