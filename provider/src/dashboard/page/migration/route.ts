import type { MigrationResource } from "../../../display/migration-resource.js";
import type { ServerMetadata } from "../../../status.js";
import { element } from "../components/element.js";
import { words } from "../components/format.js";

/** One line: the source, an arrow, the target, and how the migration runs. */
export function routePart({ currentStatus, ...migration }: MigrationResource): HTMLElement {
  const { worker, sourceDbServerMetadata: source, targetDbServerMetadata: target } = currentStatus;
  const notes = [
    migration.migrationMode,
    words(migration.migrationOption),
    ...(worker?.state === "running" ? [`worker ${worker.pid ?? ""} on ${worker.host ?? ""}`] : []),
  ];
  return element(
    "div",
    { class: "route" },
    server("Source", migration.sourceDbServerResourceId.split("@")[0]!, source),
    element("span", { class: "arrow", "aria-label": "to" }, "\u2192"),
    server("Target", migration.targetDbServerFullyQualifiedDomainName, target),
    element("span", { class: "quiet" }, notes.join(" \u00b7 ")),
  );
}

function server(role: string, address: string, metadata: ServerMetadata | undefined): HTMLElement {
  const version = /^[\d.]+/.exec(metadata?.version ?? "")?.[0];
  return element(
    "span",
    { class: "server", title: metadata ? `${role}: PostgreSQL ${metadata.version}` : role },
    element("span", { class: "quiet" }, role),
    element("strong", {}, address),
    ...(version === undefined ? [] : [element("span", { class: "quiet" }, `PostgreSQL ${version}`)]),
  );
}
