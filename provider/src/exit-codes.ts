import { constants } from "node:os";

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

/** Exit codes of a worker that another process would repeat: the user must change something first. */
export const finalExitCodes: readonly number[] = [
  exitCodes.wrongCommandLine,
  exitCodes.notFound,
  exitCodes.refused,
  exitCodes.validationFailed,
  exitCodes.contentDiffers,
  exitCodes.canceled,
];

/** Signals that stop a worker. */
export const stopSignals = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/**
 * The exit code after a signal, as shells report it.
 *
 * @example exitCodeOfSignal("SIGTERM") // 143
 */
export const exitCodeOfSignal = (signal: (typeof stopSignals)[number]): number => 128 + constants.signals[signal];
