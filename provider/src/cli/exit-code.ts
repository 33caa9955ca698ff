import { CommanderError } from "commander";
import {
  CanceledError,
  ContentDiffersError,
  InvalidInputError,
  NotFoundError,
  RefusedError,
  TakenOverError,
  TimeoutError,
  UnreachableError,
} from "../errors.js";
import { exitCodes } from "../exit-codes.js";
import { MigrationIncompleteError, type Outputs } from "../resource/lifecycle.js";
import { hasEnded, type MigrationStatus } from "../status.js";

export { exitCodes };

const byError = [
  [InvalidInputError, exitCodes.wrongCommandLine],
  [NotFoundError, exitCodes.notFound],
  [RefusedError, exitCodes.refused],
  [UnreachableError, exitCodes.unreachable],
  [ContentDiffersError, exitCodes.contentDiffers],
  [TimeoutError, exitCodes.timedOut],
  [CanceledError, exitCodes.canceled],
  [TakenOverError, exitCodes.takenOver],
] as const;

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.wrongCommandLine;
  if (error instanceof MigrationIncompleteError) return exitCodeOfIncomplete(error);
  return byError.find(([type]) => error instanceof type)?.[1] ?? exitCodes.failed;
}

/** A migration that ended decides by its state; one that did not reach its goal by what interrupted the wait. */
function exitCodeOfIncomplete({ properties, cause }: MigrationIncompleteError): number {
  const { currentStatus } = properties as unknown as Outputs;
  if (hasEnded(currentStatus.state)) return exitCodeOfStatus(currentStatus);
  return cause === undefined ? exitCodes.failed : exitCodeOf(cause);
}

/** The exit code for a migration that has ended; 0 for one that runs or waits. */
export function exitCodeOfStatus({ state, currentSubStateDetails }: MigrationStatus): number {
  const isDifferent = Object.values(currentSubStateDetails.dbDetails).some((one) => one.tablesDifferent > 0);
  if (state === "ValidationFailed") return exitCodes.validationFailed;
  if (state === "Canceled") return exitCodes.canceled;
  if (state === "Failed") return isDifferent ? exitCodes.contentDiffers : exitCodes.failed;
  return exitCodes.done;
}
