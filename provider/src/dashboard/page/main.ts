import type { MessageName, Messages, PageSettings } from "../messages.js";
import { byId } from "./element.js";
import { GridView } from "./grid-view.js";
import { MigrationView } from "./migration-view.js";

type View =
  { readonly kind: "grid"; readonly view: GridView } | { readonly kind: "migration"; readonly view: MigrationView };

/** Follows the address: one view, and one stream of what it shows. */
class Page {
  #stream: EventSource | undefined;
  #view: View | undefined;

  constructor(readonly settings: PageSettings) {
    byId("target").textContent = settings.target;
  }

  open(): void {
    this.#stream?.close();
    this.#view?.view.close();
    const name = /^#\/migrations\/([A-Za-z0-9-]+)$/.exec(location.hash)?.[1];
    const root = byId("view");
    this.#view =
      name === undefined
        ? { kind: "grid", view: new GridView(root) }
        : { kind: "migration", view: new MigrationView(root, name, this.settings) };
    document.title = name === undefined ? "Migrations" : `${name} - migration`;
    this.#listen(name);
  }

  #listen(name: string | undefined): void {
    const stream = new EventSource(name === undefined ? "/api/events" : `/api/events?migration=${name}`);
    this.#stream = stream;
    const connection = byId("connection");
    const tell = (text: string): void => {
      connection.textContent = text;
      connection.className = text;
    };
    stream.addEventListener("open", () => tell("live"));
    stream.addEventListener("error", () => tell("not connected, trying again"));
    const on = <Name extends MessageName>(event: Name, show: (data: Messages[Name]) => void): void =>
      stream.addEventListener(event, ({ data }: MessageEvent<string>) => show(JSON.parse(data) as Messages[Name]));
    on("trouble", showTrouble);
    const shown = this.#view;
    if (shown?.kind === "grid") on("migrations", (migrations) => shown.view.show(migrations));
    if (shown?.kind !== "migration") return;
    on("migration", (migration) => shown.view.showMigration(migration));
    on("tables", (tables) => shown.view.showTables(tables));
    on("events", (events) => shown.view.showEvents(events));
    on("history", (history) => shown.view.showHistory(history));
  }
}

function showTrouble(text: string): void {
  const trouble = byId("trouble");
  trouble.hidden = text === "";
  trouble.textContent = text;
}

try {
  const response = await fetch("/api/settings");
  const page = new Page((await response.json()) as PageSettings);
  addEventListener("hashchange", () => {
    page.open();
    byId("view").focus();
  });
  page.open();
} catch (error) {
  showTrouble(`the page could not be loaded: ${String(error)}`);
}
