import type { MigrationStatus } from "../status.js";

/** Values measured at intervals while a migration runs. */
export interface Sample {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly bytesCopied: number;
  readonly bytesTotal: number;
  readonly lagBytes: number;
  readonly latencySeconds: number;
}

export function sampleOf(status: MigrationStatus, atMs: number): Sample {
  const databases = Object.values(status.currentSubStateDetails.dbDetails);
  const sum = (pick: (one: (typeof databases)[number]) => number): number =>
    databases.reduce((all, one) => all + pick(one), 0);
  return {
    atMs,
    bytesCopied: sum((one) => one.bytesCopied),
    bytesTotal: sum((one) => one.bytesTotal),
    lagBytes: sum((one) => one.lagBytes),
    latencySeconds: Math.max(0, ...databases.map((one) => one.latencySeconds)),
  };
}

const windowMs = 10_000;

/**
 * Bytes per second over the ten seconds before a sample, by default the last one. If samples are further apart, the
 * rate since the previous sample.
 */
export function bytesPerSecond(samples: readonly Sample[], index = samples.length - 1): number {
  const end = samples[index];
  if (!end || index === 0) return 0;
  let first = index - 1;
  while (first > 0 && samples[first - 1]!.atMs >= end.atMs - windowMs) first--;
  const { atMs, bytesCopied } = samples[first]!;
  return end.atMs > atMs ? Math.max(0, ((end.bytesCopied - bytesCopied) * 1000) / (end.atMs - atMs)) : 0;
}

const minSeconds = 10;

/**
 * How long the rest takes at the average rate so far; undefined in the first ten seconds, which say nothing about the rest.
 *
 * @example estimateSecondsLeft({ done: 200, total: 1000, seconds: 20 }) === 80
 */
export function estimateSecondsLeft(progress: {
  readonly done: number;
  readonly total: number;
  /** Since the start. */
  readonly seconds: number;
}): number | undefined {
  const { done, total, seconds } = progress;
  if (seconds < minSeconds || done <= 0) return undefined;
  return Math.round((Math.max(0, total - done) * seconds) / done);
}
