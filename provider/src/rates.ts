import type { MigrationStatus } from "./status.js";

/** What is measured again and again while a migration is watched. */
export interface Sample {
  readonly atMs: number;
  readonly bytesCopied: number;
  readonly bytesTotal: number;
  readonly lagBytes: number;
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
  };
}

const windowMs = 10_000;

/** Bytes a second over the last ten seconds. */
export function bytesPerSecond(samples: readonly Sample[]): number {
  const last = samples.at(-1);
  const first = last && samples.find(({ atMs }) => atMs >= last.atMs - windowMs);
  if (!first || first === last) return 0;
  return Math.max(0, ((last.bytesCopied - first.bytesCopied) * 1000) / (last.atMs - first.atMs));
}

/** Undefined while nothing moves. */
export function secondsLeft(samples: readonly Sample[]): number | undefined {
  const rate = bytesPerSecond(samples);
  const last = samples.at(-1);
  return last && rate > 0 ? Math.max(0, last.bytesTotal - last.bytesCopied) / rate : undefined;
}
