import { pollUntil } from "../../async/poll-until.js";
import type { Problem } from "../../findings.js";
import {
  awaitedWindowText,
  type CutoverWindow,
  missedWindowCode,
  missedWindowText,
  type WindowPhase,
  windowPhase,
  windowText,
} from "../../inputs/cutover-window.js";
import { formatDuration } from "../../units/duration.js";
import type { StreamRecord } from "../followers/stream-record.js";
import { leadSeconds } from "./comparison-schedule.js";

const pollMs = 500;

interface Wait {
  /** Rejects if the stream fails meanwhile. */
  readonly failure: Promise<never>;
  readonly isRequested: () => boolean;
  /** Called when the wait begins, when the window is over, and when a wait has ended. */
  readonly onPhase: (phase: WindowPhase) => Promise<void>;
  /** What the comparison before the cutover took the last time. Undefined without one. */
  readonly comparisonSeconds: () => number | undefined;
}

/**
 * Waits until the cutover window is open: for its start, or, once it is over, for another window. The stream continues
 * meanwhile.
 *
 * @returns false if the cutover is no longer requested
 */
export async function untilWindowOpens(record: StreamRecord, wait: Wait): Promise<boolean> {
  const { work, database } = record;
  const { failure, isRequested, onPhase } = wait;
  const { journal, signal } = work;
  let reported: string | undefined;
  const isOver = async (): Promise<boolean> => {
    const { cutoverWindow: window } = work.spec;
    const phase = windowPhase(window);
    if (!window || phase === "open" || !isRequested()) return true;
    const key = `${phase} ${windowText(window)}`;
    if (key === reported) return false;
    reported = key;
    await report(record, wait, window, phase);
    await onPhase(phase);
    return false;
  };
  await pollUntil(isOver, { everyMs: pollMs, signal, failure });
  if (reported !== undefined) {
    await record.showAwaited(null, null);
    await journal.replaceFindings(database, missedWindowCode, []);
    await onPhase("open");
  }
  return isRequested();
}

async function report(
  record: StreamRecord,
  { comparisonSeconds }: Wait,
  window: CutoverWindow,
  phase: "ahead" | "over",
): Promise<void> {
  const { work, database } = record;
  const missed = phase === "over" ? missedWindow(database, window, comparisonSeconds()) : undefined;
  const message = missed?.message ?? awaitedWindowText(window);
  await record.showAwaited(message, missed ? null : windowText(window));
  await record.report(message, missed ? "warning" : "info");
  await work.journal.replaceFindings(database, missedWindowCode, missed ? [missed] : []);
}

function missedWindow(database: string, window: CutoverWindow, seconds: number | undefined): Problem {
  const compared = seconds === undefined ? "" : `; the comparison before the cutover took ${formatDuration(seconds)}`;
  const starts =
    seconds === undefined
      ? "set cutoverWindow to a future window"
      : `set cutoverWindow to a window that starts in more than ${formatDuration(leadSeconds(seconds))}, so that the comparison ends before it`;
  return {
    database,
    type: "ServerParametersValidation",
    state: "Warning",
    code: missedWindowCode,
    object: database,
    objectType: "Database",
    message: `${missedWindowText(window)}${compared}; changes are still applied`,
    remedy: `${starts}, or remove it to cut over now`,
  };
}
