import { delay } from "../../async/delay.js";
import type { Problem } from "../../findings.js";
import { type CutoverWindow, type WindowPhase, windowPhase, windowText } from "../../inputs/cutover-window.js";
import type { Work } from "../context/work.js";

const pollMs = 500;
const missedCode = "PGM-608";

interface Wait {
  readonly database: string;
  /** Rejects if the stream fails meanwhile. */
  readonly failure: Promise<never>;
  readonly isRequested: () => boolean;
  /** Called when the wait begins, when the window is over, and when a wait has ended. */
  readonly onPhase: (phase: WindowPhase) => Promise<void>;
}

/**
 * Waits until the cutover window is open: for its start, or, once it is over, for another window. The stream continues
 * meanwhile.
 *
 * @returns false if the cutover is no longer requested
 */
export async function untilWindowOpens(
  work: Work,
  { database, failure, isRequested, onPhase }: Wait,
): Promise<boolean> {
  const { journal, signal } = work;
  let reported: string | undefined;
  for (;;) {
    const { cutoverWindow: window } = work.spec;
    const phase = windowPhase(window);
    if (!window || phase === "open" || !isRequested()) break;
    const key = `${phase} ${windowText(window)}`;
    if (key !== reported) {
      reported = key;
      await report(work, database, window, phase);
      await onPhase(phase);
    }
    await Promise.race([delay(pollMs, signal), failure]);
    signal.throwIfAborted();
  }
  if (reported !== undefined) {
    await journal.database(database, { message: null });
    await journal.replaceFindings(database, missedCode, []);
    await onPhase("open");
  }
  return isRequested();
}

async function report(
  { journal }: Work,
  database: string,
  window: CutoverWindow,
  phase: "ahead" | "over",
): Promise<void> {
  const missed = phase === "over" ? missedWindow(database, window) : undefined;
  const message = missed?.message ?? `the cutover waits for its window: ${windowText(window)}`;
  await journal.database(database, { message });
  await journal.event(message, { database, level: missed ? "warning" : "info" });
  await journal.replaceFindings(database, missedCode, missed ? [missed] : []);
}

const missedWindow = (database: string, window: CutoverWindow): Problem => ({
  database,
  type: "ServerParametersValidation",
  state: "Warning",
  code: missedCode,
  object: database,
  objectType: "Database",
  message: `the cutover window ${windowText(window)} is over, and the cutover has not started; changes are still applied`,
  remedy: "set cutoverWindow to a future window, or remove it to cut over now",
});
