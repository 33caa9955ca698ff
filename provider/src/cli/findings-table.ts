import type { Finding } from "../store/journal.js";
import { formatTable } from "./output.js";

/** Findings, worst first, and below them what to do about each, on lines that can be copied. */
export function findingsTable(findings: readonly Finding[]): string {
  const order = ["Failed", "Warning", "Succeeded"];
  const sorted = [...findings].sort((one, other) => order.indexOf(one.state) - order.indexOf(other.state));
  const rows = sorted.map((one) => [
    one.state,
    one.code ?? "",
    one.database ?? "",
    one.object ?? "",
    one.objectType ?? "",
    one.message,
  ]);
  const table = formatTable(["Status", "Code", "Database", "Impacted object", "Type", "Finding"], rows);
  const remedies = sorted.filter((one) => one.state !== "Succeeded" && one.remedy !== undefined);
  if (remedies.length === 0) return table;
  return [
    table,
    "",
    "To do:",
    ...remedies.map((one) => `  ${one.code ?? one.object ?? one.type}: ${one.remedy!}`),
  ].join("\n");
}
