import { setTimeout as sleep } from "node:timers/promises";
import { FleetReader } from "../../fleet/fleet-reader.js";
import { FleetWebhook } from "../../fleet/fleet-webhook.js";
import { fleetRows, isActive, type FleetRow } from "../../fleet/fleet-rows.js";
import { listWithOverviews } from "../../fleet/list-overviews.js";
import type { WebhookTarget } from "../../inputs/inputs.js";
import { exitCodes } from "../exit-code.js";
import type { TargetFlags } from "../options/server-options.js";
import { Screen } from "../output/screen.js";
import { writeOutput } from "../output/terminal.js";
import { fleetSummary, fleetTable } from "./fleet-table.js";
import { openFleet } from "./open-fleet.js";

const pollMs = 2000;

/**
 * Shows the migrations on many targets until all have ended and every target was read. On a terminal it redraws a table,
 * otherwise it prints a line for each change. A webhook receives the changes, too.
 */
export async function watchFleet(list: string, flags: TargetFlags, receiver: WebhookTarget | undefined): Promise<void> {
  const { targets } = await openFleet(list, flags);
  const reader = new FleetReader(targets, (store) => (store ? listWithOverviews(store) : Promise.resolve([])), "watch");
  const webhook = receiver && new FleetWebhook(receiver);
  const show = process.stdout.isTTY ? showOnScreen(new Screen()) : showInLines();
  try {
    for (;;) {
      const readings = await reader.poll();
      webhook?.observe(readings);
      const rows = fleetRows(readings);
      show(rows);
      if (!rows.some(isActive)) {
        setExitCode(rows);
        return;
      }
      await sleep(pollMs);
    }
  } finally {
    await reader.close();
    await webhook?.close();
  }
}

const showOnScreen =
  (screen: Screen) =>
  (rows: readonly FleetRow[]): void =>
    screen.draw([fleetSummary(rows), "", ...fleetTable(rows).split("\n")]);

function showInLines(): (rows: readonly FleetRow[]) => void {
  const shown = new Map<string, string>();
  return (rows) => {
    for (const row of rows) {
      const subject = [row.target, row.migration ?? ""].join("/").replace(/\/$/, "");
      const text = lineOf(row);
      if (shown.get(subject) !== text) writeOutput(`${new Date().toISOString()} ${subject}: ${text}`);
      shown.set(subject, text);
    }
  };
}

/** Without values that change all the time, such as the lag. */
function lineOf({ state, subState, percent, worker, error, unreachable }: FleetRow): string {
  if (unreachable !== null) return `unreachable: ${unreachable.split("\n")[0]!}`;
  if (state === null) return "no migration";
  const progress = percent === null ? [] : [`${percent} % copied`];
  const lost = worker === "lost" ? ["no worker"] : [];
  const reason = error === null ? [] : [error.split("\n")[0]!];
  return [state, ...(subState === null ? [] : [subState]), ...progress, ...lost, ...reason].join(", ");
}

function setExitCode(rows: readonly FleetRow[]): void {
  const failed = rows.some(
    ({ state, different }) => state === "Failed" || state === "ValidationFailed" || different > 0,
  );
  if (failed) process.exitCode = exitCodes.failed;
}
