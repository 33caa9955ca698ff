import { formatTable } from "../../display/format-table.js";
import type { FleetRow } from "../../fleet/fleet-rows.js";
import { formatBytes } from "../../units/byte-size.js";
import { formatDuration } from "../../units/duration.js";

const columns = ["Target", "Migration", "Status", "Copied", "Behind", "Worker", "Databases", "Error"];
const maxErrorLength = 120;

/** The rows of a fleet as a table. Values that are not current end with their age. */
export const fleetTable = (rows: readonly FleetRow[], now = Date.now()): string =>
  formatTable(
    columns,
    rows.map((row) => [
      row.target,
      row.migration ?? "",
      stateOf(row, now),
      row.percent === null ? "" : `${row.percent} %`,
      lagOf(row),
      row.worker ?? "",
      row.databases.join(", "),
      firstLine(row.unreachable ?? row.error ?? ""),
    ]),
  );

function stateOf({ state, unreachable, readAt }: FleetRow, now: number): string {
  if (unreachable === null) return state ?? "no migration";
  if (state === null || readAt === null) return "unreachable";
  return `${state} (${formatDuration(Math.round((now - readAt) / 1000))} ago)`;
}

function lagOf({ lagBytes, lagSeconds, worker }: FleetRow): string {
  if (lagBytes === null || lagSeconds === null) return "";
  return worker === "running" ? `${formatBytes(lagBytes)}, ${lagSeconds.toFixed(1)} s` : "unknown";
}

const firstLine = (text: string): string => text.split("\n")[0]!.slice(0, maxErrorLength);

/** Counts for the last line of a list: `200 targets: 150 Succeeded, 48 InProgress, 2 unreachable`. */
export function fleetSummary(rows: readonly FleetRow[]): string {
  const counts = new Map<string, number>();
  for (const { state, unreachable } of rows) {
    const what = unreachable === null ? (state ?? "without a migration") : "unreachable";
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  const targets = new Set(rows.map(({ target }) => target)).size;
  return `${targets} targets: ${[...counts].map(([what, count]) => `${count} ${what}`).join(", ")}`;
}
