import type { MessageName, Messages, PageSettings } from "../messages.js";
import { byId, element } from "./components/element.js";
import { CreationView } from "./creation/creation-view.js";
import { FleetView } from "./fleet-view.js";
import { GridView } from "./grid-view.js";
import { showLogin } from "./login.js";
import { MigrationView } from "./migration/migration-view.js";
import { targetInAddress, targetPrefix } from "./target-prefix.js";

type View =
  | { readonly kind: "fleet"; readonly view: FleetView }
  | { readonly kind: "grid"; readonly view: GridView }
  | { readonly kind: "creation"; readonly view: CreationView }
  | { readonly kind: "migration"; readonly view: MigrationView };

const retryMs = 2000;

/** Shows the view that the address names, from one stream of events. */
class Page {
  #stream: EventSource | undefined;
  #view: View | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #isConnected = false;
  #trouble = "";

  constructor(readonly settings: PageSettings) {}

  open(): void {
    this.close();
    const name = migrationInAddress();
    const target = targetInAddress();
    this.#view = this.#viewOf(name, target);
    document.title = [
      ...(name === undefined ? [] : [name]),
      ...(target === undefined ? [] : [target]),
      "Migrations",
    ].join(" - ");
    const link = target === undefined ? [] : [" / ", element("a", { href: `#${targetPrefix()}` }, target)];
    byId("target").replaceChildren(this.settings.target, ...link);
    this.#listen(name);
  }

  #viewOf(name: string | undefined, target: string | undefined): View {
    const root = byId("view");
    if (this.settings.isFleet && target === undefined) return { kind: "fleet", view: new FleetView(root) };
    const settings = { ...this.settings, ...(target === undefined ? {} : { target }) };
    if (name !== undefined) return { kind: "migration", view: new MigrationView(root, name, settings) };
    if (location.hash.endsWith("/new") && !settings.readOnly)
      return { kind: "creation", view: new CreationView(root, settings) };
    return { kind: "grid", view: new GridView(root, settings) };
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#stream?.close();
    this.#view?.view.close();
    this.#view = undefined;
  }

  #listen(name: string | undefined): void {
    const stream = new EventSource(`${targetPrefix()}/api/events${name === undefined ? "" : `?migration=${name}`}`);
    this.#stream = stream;
    stream.addEventListener("open", () => this.#showConnection(true, this.#trouble));
    stream.addEventListener("error", () => {
      this.#showConnection(false, this.#trouble);
      // The browser reconnects by itself, except after an answer other than 200.
      if (stream.readyState === EventSource.CLOSED) this.#reconnectLater(name);
    });
    const on = <Name extends MessageName>(event: Name, show: (data: Messages[Name]) => void): void =>
      stream.addEventListener(event, ({ data }: MessageEvent<string>) => show(JSON.parse(data) as Messages[Name]));
    on("trouble", (trouble) => this.#showConnection(true, trouble));
    const shown = this.#view;
    if (shown?.kind === "fleet") {
      on("fleet", (fleet) => shown.view.show(fleet));
      on("list", (list) => shown.view.showList(list));
    }
    if (shown?.kind === "grid") on("migrations", (migrations) => shown.view.show(migrations));
    if (shown?.kind !== "migration") return;
    on("migration", (migration) => shown.view.showMigration(migration));
    on("tables", (tables) => shown.view.showTables(tables));
    on("events", (events) => shown.view.showEvents(events));
    on("history", (history) => shown.view.showHistory(history));
  }

  #reconnectLater(name: string | undefined): void {
    this.#retry = setTimeout(() => {
      loadSettings(targetPrefix()).then(
        (settings) => {
          if (settings) {
            this.#listen(name);
            return;
          }
          this.close();
          this.#showConnection(false, "");
          showLogin(byId("view"));
        },
        (error: unknown) => {
          if (error instanceof UnknownTarget) showTrouble(error.message);
          this.#reconnectLater(name);
        },
      );
    }, retryMs);
  }

  #showConnection(isConnected: boolean, trouble: string): void {
    this.#isConnected = isConnected;
    this.#trouble = trouble;
    const state = !this.#isConnected ? "disconnected" : trouble === "" ? "live" : "unreachable";
    const connection = byId("connection");
    connection.className = state;
    connection.textContent = {
      live: "live",
      disconnected: "dashboard not reachable, reconnecting",
      unreachable: "target not reachable, retrying",
    }[state];
    showTrouble(trouble === "" ? "" : `The target cannot be read, so this page may be out of date: ${trouble}`);
  }
}

const migrationInAddress = (): string | undefined =>
  /^#(?:\/targets\/[^/]+)?\/migrations\/([A-Za-z0-9-]+)$/.exec(location.hash)?.[1];

class UnknownTarget extends Error {}

/** Undefined when the server does not accept this browser. @throws UnknownTarget if the list does not have the target */
async function loadSettings(prefix = ""): Promise<PageSettings | undefined> {
  const response = await fetch(`${prefix}/api/settings`);
  if (response.status === 404) throw new UnknownTarget(`The list has no target ${targetInAddress() ?? ""}.`);
  if (response.status === 401) return undefined;
  if (!response.ok) throw new Error(((await response.json()) as { error: string }).error);
  return (await response.json()) as PageSettings;
}

function showTrouble(text: string): void {
  const trouble = byId("trouble");
  trouble.hidden = text === "";
  if (trouble.textContent !== text) trouble.textContent = text;
}

try {
  const settings = await loadSettings();
  if (settings) {
    const page = new Page(settings);
    addEventListener("hashchange", () => {
      page.open();
      byId("view").focus();
    });
    page.open();
  } else showLogin(byId("view"));
} catch (error) {
  showTrouble(`The page cannot be loaded: ${String(error)}`);
}
