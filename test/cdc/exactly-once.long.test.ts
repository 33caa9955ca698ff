import assert from "node:assert/strict";
import { Stage } from "./apply/stage";
import { until } from "../support/until";

describe("Follower", () => {
  const servers = new Stage({ from: 14, to: 18, parameters: { wal_sender_timeout: "5s" } });

  it("stays connected while the target takes longer than wal_sender_timeout", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY, v text)");
    const events: string[] = [];
    const follower = s.follow({ onEvent: ({ kind }) => events.push(kind) });
    // Changes that were written before would be read as a backlog, without the walsender.
    await until("the follower streams", () => follower.status().state === "streaming");
    const lock = await servers.target.connect(s.database, servers.administrator);
    await lock.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    await s.onSource("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 50000) i");
    await until("a latency of more than 9 s", () => follower.status().latencySeconds > 9);
    await lock.end();
    await s.mustBecomeEqual(follower);
    assert.deepEqual(events, ["streaming"]);
  });

  it("applies a transaction much larger than a batch with bounded memory", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY, v text, w text)");
    const follower = s.follow();
    let peak = 0;
    const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 50);
    const before = process.memoryUsage().rss;
    await s.onSource(`
      INSERT INTO t SELECT i, 'v' || i, repeat('y', 2100) FROM generate_series(1, 100000) i;
      UPDATE t SET v = v || '!' WHERE id % 3 = 0; DELETE FROM t WHERE id % 10 = 0`);
    await follower.drainTo(await s.sourceLsn());
    clearInterval(watch);
    const digest = "SELECT count(*)::int AS n, md5(string_agg(t::text, ',' ORDER BY id)) AS sum FROM t";
    assert.deepEqual(await s.onTarget(digest), await s.onSource(digest));
    assert.ok(peak - before < 250e6, `memory grew by ${Math.round((peak - before) / 1e6)} MB`);
  });
});
