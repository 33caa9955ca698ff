import { RefusedError } from "../errors.js";
import { type CutoverWindow, missedWindowCode, missedWindowText, windowText } from "../inputs/cutover-window.js";
import { hasDatabaseEnded, type MigrationStatus } from "../status.js";
import type { Requested } from "./refuse-withdrawn.js";

/**
 * Refuses to wait for a cutover whose window the worker has missed. Databases that are still copied, or whose cutover has
 * started in time, are waited for first. Only the worker's clock counts: that of this machine may be wrong.
 *
 * @throws RefusedError naming the window and the databases
 */
export function refuseMissedWindow(
  { worker, currentSubStateDetails: { currentSubState, dbDetails, validationDetails } }: MigrationStatus,
  { triggerCutover, dbsToTriggerCutoverOn: listed, waitFor }: Requested,
  window: CutoverWindow | undefined,
): void {
  const waitsForLess = waitFor === "started" || waitFor === "cutoverReady";
  if (!window || !triggerCutover || waitsForLess) return;
  if (worker.state !== "running" || currentSubState !== "WaitingForCutoverTrigger") return;
  const open = Object.values(dbDetails).filter(({ migrationState }) => !hasDatabaseEnded(migrationState));
  if (open.some(({ migrationState }) => migrationState !== "WaitingForCutoverTrigger")) return;
  const reports = (validationDetails?.dbLevelValidationDetails ?? [])
    .flatMap(({ summary }) => summary)
    .flatMap(({ messages }) => messages)
    .filter(({ code, message }) => code === missedWindowCode && message.startsWith(missedWindowText(window)));
  const missed = open
    .map(({ databaseName }) => databaseName)
    .filter((name) => listed.length === 0 || listed.includes(name))
    .filter((name) => reports.some(({ object }) => object === name));
  if (missed.length === 0) return;
  throw new RefusedError(
    `the cutover window ${windowText(window)} is over, and the cutover of ${missed.join(", ")} has not started`,
    { remedy: "set cutoverWindow to a future window, or remove it, and run pulumi up" },
  );
}
