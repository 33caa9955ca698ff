import { estimateSecondsLeft } from "../../units/rates.js";
import type { Journal } from "../../store/journal.js";
import type { BytesCompared } from "../../verify/compare-tables.js";

const everyMs = 1000;

/** Records the progress of a comparison, and clears it at the end. */
export async function recordingProgress<Result>(
  journal: Journal,
  database: string,
  compare: (onProgress: (progress: BytesCompared) => void) => Promise<Result>,
): Promise<Result> {
  const startedAt = Date.now();
  let recordedAt = 0;
  // The next report replaces a lost one. The worker detects a lost lease elsewhere.
  const record = (progress: Parameters<Journal["comparing"]>[1]): Promise<void> =>
    journal.comparing(database, progress).catch(() => undefined);
  let recorded = Promise.resolve();
  const onProgress = ({ bytesCompared, bytesTotal }: BytesCompared): void => {
    if (Date.now() - recordedAt < everyMs || bytesCompared === 0) return;
    recordedAt = Date.now();
    const seconds = (recordedAt - startedAt) / 1000;
    const secondsLeft = estimateSecondsLeft({ done: bytesCompared, total: bytesTotal, seconds });
    recorded = recorded.then(() =>
      record({
        bytesCompared: Math.round(bytesCompared),
        bytesTotal: Math.round(bytesTotal),
        ...(secondsLeft === undefined ? {} : { secondsLeft }),
      }),
    );
  };
  try {
    return await compare(onProgress);
  } finally {
    await recorded;
    if (recordedAt > 0) await record(null);
  }
}
