import { RefusedError } from "../errors.js";
import { type CutoverWindow, windowPhase, windowText } from "../inputs/cutover-window.js";
import { hasDatabaseEnded, type MigrationStatus } from "../status.js";
import type { Requested } from "./refuse-withdrawn.js";

/**
 * Refuses to wait for a cutover whose window is over. Databases that are still copied, or whose cutover has started in time,
 * are waited for first.
 *
 * @throws RefusedError naming the window and the databases
 */
export function refuseMissedWindow(
  { worker, currentSubStateDetails: { currentSubState, dbDetails } }: MigrationStatus,
  { triggerCutover, dbsToTriggerCutoverOn: listed, waitFor }: Requested,
  window: CutoverWindow | undefined,
): void {
  const waitsForLess = waitFor === "started" || waitFor === "cutoverReady";
  if (!window || !triggerCutover || waitsForLess || windowPhase(window) !== "over") return;
  if (worker.state !== "running" || currentSubState !== "WaitingForCutoverTrigger") return;
  const open = Object.values(dbDetails).filter(({ migrationState }) => !hasDatabaseEnded(migrationState));
  if (open.some(({ migrationState }) => migrationState !== "WaitingForCutoverTrigger")) return;
  const waiting = open.filter(({ databaseName }) => listed.length === 0 || listed.includes(databaseName));
  if (waiting.length === 0) return;
  throw new RefusedError(
    `the cutover window ${windowText(window)} is over, and the cutover of ${waiting.map(({ databaseName }) => databaseName).join(", ")} has not started`,
    { remedy: "set cutoverWindow to a future window, or remove it, and run pulumi up" },
  );
}
