import { CommanderError } from "commander";
import {
  Canceled,
  ContentDiffers,
  InvalidInput,
  NotFound,
  Refused,
  TakenOver,
  TimedOut,
  Unreachable,
} from "../errors.js";
import type { MigrationStatus } from "../status.js";

/** What a script learns from the command; 0 to 3 as `az` has them. */
export const exitCodes = {
  done: 0,
  failed: 1,
  wrongCommandLine: 2,
  notFound: 3,
  refused: 4,
  unreachable: 5,
  validationFailed: 6,
  contentDiffers: 7,
  timedOut: 8,
  canceled: 9,
  takenOver: 10,
} as const;

const byError = [
  [InvalidInput, exitCodes.wrongCommandLine],
  [NotFound, exitCodes.notFound],
  [Refused, exitCodes.refused],
  [Unreachable, exitCodes.unreachable],
  [ContentDiffers, exitCodes.contentDiffers],
  [TimedOut, exitCodes.timedOut],
  [Canceled, exitCodes.canceled],
  [TakenOver, exitCodes.takenOver],
] as const;

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.wrongCommandLine;
  return byError.find(([type]) => error instanceof type)?.[1] ?? exitCodes.failed;
}

/** How a migration that has come to rest is told to a script. */
export function exitCodeOfStatus(status: MigrationStatus): number {
  const different = Object.values(status.currentSubStateDetails.dbDetails).some((one) => one.tablesDifferent > 0);
  if (status.state === "ValidationFailed") return exitCodes.validationFailed;
  if (status.state === "Canceled") return exitCodes.canceled;
  if (status.state === "Failed") return different ? exitCodes.contentDiffers : exitCodes.failed;
  return exitCodes.done;
}
