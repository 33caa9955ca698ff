import type { OnlineVerification } from "../../status.js";

/** What a comparison may take longer than twice the last one. */
const spareSeconds = 600;
const retryAfterSeconds = 600;

/** Seconds of a complete comparison. Undefined for any other one. */
export function comparisonSeconds(last: OnlineVerification | undefined): number | undefined {
  if (!last || last.endedOn === undefined || (last.state !== "equal" && last.state !== "different")) return undefined;
  return (Date.parse(last.endedOn) - Date.parse(last.startedOn)) / 1000;
}

/** How long before a cutover window a comparison starts, if the last one took these seconds. */
export const leadSeconds = (seconds: number): number => 2 * seconds + spareSeconds;

/** Whether a comparison that is complete was made so late that another one before the cutover would be the same. */
const isRecent = ({ startedOn }: OnlineVerification, seconds: number, now: number): boolean =>
  now - Date.parse(startedOn) <= 2 * leadSeconds(seconds) * 1000;

/** Whether all rows were equal recently. A cutover in a window then needs no other comparison. */
export const isRecentlyEqual = (last: OnlineVerification | undefined, seconds: number, now: number): boolean =>
  last?.state === "equal" && isRecent(last, seconds, now);

/**
 * Whether a comparison has to start now, so that it ends before a window. The first one starts at once, because it shows how
 * long a comparison takes, and differences that can still be repaired.
 *
 * @param seconds what the last comparisons of all databases took, because they run one after another
 */
export function isComparisonDue(
  last: OnlineVerification | undefined,
  { seconds, opensAt, now }: { readonly seconds: number; readonly opensAt: number; readonly now: number },
): boolean {
  if (!last || comparisonSeconds(last) === undefined)
    return last?.endedOn === undefined || now - Date.parse(last.endedOn) >= retryAfterSeconds * 1000;
  return now >= opensAt - leadSeconds(seconds) * 1000 && !isRecent(last, seconds, now);
}
