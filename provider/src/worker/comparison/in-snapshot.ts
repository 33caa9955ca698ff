import { RefusedError } from "../../errors.js";
import type { TablesComparison } from "../../verify/compare-tables.js";

/** The `Snapshot.txidSnapshot` in which a comparison reads the source. */
export async function inSnapshot(openSource: TablesComparison["openSource"]): Promise<string> {
  const session = await openSource("rows");
  try {
    const { rows } = await session.query<{ snapshot: string }>(
      "SELECT pg_catalog.txid_current_snapshot()::text AS snapshot",
    );
    return rows[0]!.snapshot;
  } finally {
    await session.end();
  }
}

/** @throws RefusedError if this process reads another source than the leader, or another moment */
export async function requireSnapshot(openSource: TablesComparison["openSource"], wanted: string): Promise<void> {
  const found = await inSnapshot(openSource);
  if (found === wanted) return;
  throw new RefusedError(`the source shows another moment than the leader compares (${found} instead of ${wanted})`, {
    remedy: "give all workers of a migration the same source",
  });
}
