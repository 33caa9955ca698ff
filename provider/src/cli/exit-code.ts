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
import { MigrationIncompleteError, type Outputs } from "../resource/lifecycle.js";
import { hasEnded, type MigrationStatus } from "../status.js";

/** Exit codes, documented in docs/command.md; 0 to 3 are those of `az`. */
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
