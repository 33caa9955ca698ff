import type { DatabaseDetails } from "../../../status.js";
import { bytes, seconds, zonedTime } from "../components/format.js";

/** The lag of several databases: the sum of the bytes, the highest latency. */
export interface Lag {
  readonly bytes: number;
  readonly seconds: number;
}

/** The lag; undefined unless a worker measures it now. */
export function measuredLag(databases: readonly DatabaseDetails[]): Lag | undefined {
  const measured = databases.filter(({ isLagMeasured }) => isLagMeasured);
  if (measured.length === 0) return undefined;
  return {
    bytes: measured.reduce((sum, one) => sum + one.lagBytes, 0),
    seconds: Math.max(...measured.map((one) => one.latencySeconds)),
  };
}

export const lagText = (lag: Lag): string => `${bytes(lag.bytes)}, ${seconds(lag.seconds)}`;

/** When the lag of a followed database without a worker was last measured; undefined with a worker. */
export function unknownSince(databases: readonly DatabaseDetails[]): string | undefined {
  const since = databases.flatMap(({ lagUnknownSince }) => lagUnknownSince ?? []).sort()[0];
  return since === undefined ? undefined : `unknown since ${zonedTime(since)}`;
}

export function lagOf(one: DatabaseDetails): string {
  const lag = measuredLag([one]);
  if (lag) return lagText(lag);
  return one.lagUnknownSince === undefined ? "" : "unknown";
}
