import assert from "node:assert/strict";
import type { Stage } from "../apply/stage";
import { backlog, followBacklog, slotsOf } from "./backlog-scene";

/**
 * Reads a backlog with a transaction for which the source would write a large file.
 *
 * @param write a statement of concurrent transactions, for each step of the large one
 */
export async function readLargeTransaction(servers: Stage, write?: (step: number) => string): Promise<void> {
  const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY, v text)");
  const temporaryBytes = async (): Promise<unknown> =>
    s.onSource("SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()");
  const before = await temporaryBytes();
  const session = await servers.source.connect(s.database);
  await session.query("BEGIN");
  for (let step = 0; step < 50; step++) {
    await session.query(
      `INSERT INTO t SELECT ${step * 1000} + i, repeat(md5(i::text), 30) FROM generate_series(1, 1000) i`,
    );
    if (write) await s.onSource(write(step));
  }
  await session.query("COMMIT");
  await session.end();
  // With concurrent transactions, only the WAL span of the portions reveals the large transaction.
  const spanBytes = write ? 8 << 20 : 1 << 30;
  const { follower, events } = followBacklog(s, { backlog: { ...backlog, spanBytes } });
  await follower.drainTo(await s.sourceLsn());
  assert.deepEqual(Object.keys(await slotsOf(s)), [s.names.slot]);
  assert.deepEqual(await temporaryBytes(), before);
  await s.mustBecomeEqual(follower);
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ["backlog", "streaming"],
  );
}
