import type { MigrationSummary } from "../../../resource/summary/migration-summary.js";
import { DataTable, type Column } from "../components/data-table.js";
import { element } from "../components/element.js";
import { bytes, elapsed } from "../components/format.js";
import { findingsPart, shownFinding } from "../migration/findings.js";

type SummarizedDatabase = MigrationSummary["databases"][number];

/** What a migration would do: servers, databases, findings and the estimated time. */
export function summaryPart(summary: MigrationSummary): Node[] {
  const { source, target, databases, findings, secondsEstimated, migrationMode } = summary;
  const table = new DataTable({ label: "Databases to migrate", columns, key: ({ name }) => name });
  table.show(databases);
  const shown = findings.map((finding, i) => shownFinding(finding, finding.database ?? "", i));
  const isBlocked = findings.some(({ state }) => state === "Failed");
  return [
    element("h2", {}, `Summary of ${summary.migrationName}`),
    element("p", {}, `${migrationMode}: from ${serverText(source)} to ${serverText(target)}.`),
    table.root,
    ...(secondsEstimated === null ? [] : [element("p", {}, estimateText(secondsEstimated))]),
    ...(migrationMode === "Offline"
      ? [element("p", { class: "warn" }, "Stop all applications that write to the source before the start.")]
      : []),
    ...findingsPart(shown, isBlocked),
  ];
}

const serverText = ({ host, port, version }: MigrationSummary["source"]): string =>
  `${host}:${port} (PostgreSQL ${version})`;

const estimateText = (seconds: number): string =>
  `At 50 MB/s, copying takes about ${elapsed(seconds)}. Building indexes takes about as long again.`;

const columns: readonly Column<SummarizedDatabase>[] = [
  { name: "Database", cell: ({ name }) => name, value: ({ name }) => name, className: "name" },
  { name: "On the target", cell: ({ targetName }) => targetName, value: ({ targetName }) => targetName },
  {
    name: "Size",
    cell: (one) => (one.bytes === null ? "unknown" : bytes(one.bytes)),
    value: (one) => one.bytes ?? -1,
    className: "number",
  },
  {
    name: "Exists on the target",
    cell: ({ existsOnTarget }) => (existsOnTarget ? element("strong", { class: "bad" }, "yes") : "no"),
    value: ({ existsOnTarget }) => (existsOnTarget ? 0 : 1),
  },
];
