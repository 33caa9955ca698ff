import { z } from "zod";
import { instantsOf, isTimeZone } from "../units/zoned-time.js";

const time = z.iso.datetime({
  offset: true,
  local: true,
  error: "give a time such as 2030-02-01T02:00, or with an offset: 2030-02-01T02:00:00+01:00",
});

export interface CutoverWindow {
  readonly start: string;
  readonly end: string;
  readonly timeZone: string;
}

/** When cutovers may start. Times without an offset are those of the time zone. */
export const cutoverWindowSchema = z
  .strictObject({
    start: time,
    end: time,
    timeZone: z
      .string()
      .refine(isTimeZone, { error: "unknown time zone: give a name of the IANA, such as Europe/Berlin" })
      .default("UTC"),
  })
  // Runs only if each part is valid by itself.
  .transform((window, context) => {
    for (const { property, message } of failuresOf(window))
      context.addIssue({ code: "custom", path: [property], message });
    return window;
  });

function failuresOf({
  start,
  end,
  timeZone,
}: CutoverWindow): { readonly property: string; readonly message: string }[] {
  const [from, to] = [start, end].map((text) => instantsOf(text, timeZone)) as [number[], number[]];
  const failures = [
    ...(from.length === 1 ? [] : [{ property: "start", message: notOnce(start, timeZone, from.length) }]),
    ...(to.length === 1 ? [] : [{ property: "end", message: notOnce(end, timeZone, to.length) }]),
  ];
  if (failures.length > 0 || from[0]! < to[0]!) return failures;
  return [{ property: "end", message: `the window ends before it starts at ${start}` }];
}

function notOnce(text: string, timeZone: string, times: number): string {
  return times === 0
    ? `${text} does not exist in ${timeZone}, because clocks are set forward: give another time`
    : `${text} occurs twice in ${timeZone}, because clocks are set back: give it with an offset`;
}

/** When the window opens. A worker with other time zone data may find two instants, or none: the later one counts. */
export const windowOpensAt = ({ start, timeZone }: CutoverWindow): number =>
  instantsOf(start, timeZone).at(-1) ?? Infinity;

export type WindowPhase = "ahead" | "open" | "over";

/** Whether a window is open, or why not. Without a window, a cutover may start at any time. */
export function windowPhase(window: CutoverWindow | undefined, now = Date.now()): WindowPhase {
  if (!window) return "open";
  if (now < windowOpensAt(window)) return "ahead";
  return now < (instantsOf(window.end, window.timeZone)[0] ?? -Infinity) ? "open" : "over";
}

/** What the worker reports before a window. */
export const awaitedWindowText = (window: CutoverWindow): string =>
  `the cutover waits for its window: ${windowText(window)}`;

/** What the worker reports after a window. */
export const missedWindowText = (window: CutoverWindow): string =>
  `the cutover window ${windowText(window)} is over, and the cutover has not started`;

/** The code of that finding. */
export const missedWindowCode = "PGM-608";

/** `2030-02-01T02:00 to 2030-02-01T05:00 (Europe/Berlin)`. */
export const windowText = ({ start, end, timeZone }: CutoverWindow): string => `${start} to ${end} (${timeZone})`;
