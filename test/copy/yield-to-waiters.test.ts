import assert from "node:assert/strict";
import { delay } from "../../provider/src/async/delay";
import { Snapshot, openInSnapshot } from "../../provider/src/copy/snapshot";
import { yieldToWaiters } from "../../provider/src/copy/yield-to-waiters";
import { ConcurrentChangeError } from "../../provider/src/errors";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { until } from "../support/until";
import { endpointOf, freshDatabase } from "./pairs";

/** An application that waits longer than this for the snapshot fails the test. */
const impatiently = { options: "-c lock_timeout=10000" } as object;

describe("yieldToWaiters", () => {
  let server: EmbeddedServer;
  let database: string;
  before(async () => {
    server = await EmbeddedServer.start({ major: 14 });
    database = await freshDatabase(server, "CREATE TABLE t (id int)", "CREATE TABLE other (id int)");
  });
  after(() => server.stop());

  const lockedSnapshot = async (): Promise<{
    source: ReturnType<typeof endpointOf>;
    database: string;
    snapshot: Snapshot;
  }> => {
    const snapshot = await Snapshot.export(endpointOf(server), database);
    assert.deepEqual(await snapshot.lockTables([{ schema: "public", name: "t" }]), []);
    return { source: endpointOf(server), database, snapshot };
  };
  const isYield = (error: unknown): boolean => {
    assert.ok(error instanceof ConcurrentChangeError, String(error));
    assert.match(error.message, /public\.t of \w+ was released .* waits to lock it: pid \d+ \(postgres, test, active/);
    return true;
  };

  it("releases the snapshot when an application waits for a locked table", async () => {
    const locked = await lockedSnapshot();
    const run = yieldToWaiters(locked, async (signal) => {
      await delay(60_000, signal);
      throw new Error("the copy was stopped");
    });
    await Promise.all([assert.rejects(run, isYield), server.query("TRUNCATE t", { database, login: impatiently })]);
  });

  it("releases the snapshot on a busy source, where a look at the locks takes seconds", async () => {
    const { source, ...locked } = await lockedSnapshot();
    const proxy = await CuttableProxy.to(source);
    const held = proxy.hold("look at locks");
    const run = yieldToWaiters({ ...locked, source: proxy.endpoint }, async (signal) => {
      await held.first;
      await delay(2000, signal);
      held.release();
      await delay(60_000, signal);
      throw new Error("the copy was stopped");
    });
    try {
      await Promise.all([assert.rejects(run, isYield), server.query("TRUNCATE t", { database, login: impatiently })]);
    } finally {
      await locked.snapshot.release();
      await proxy.close();
    }
  });

  describe("with a reader whose locks are not the snapshot's", () => {
    const readerName = "pg-migration test reader";

    async function truncateBeside(patienceMs?: number): Promise<boolean> {
      const locked = await lockedSnapshot();
      await locked.snapshot.unlockTables();
      const reader = await openInSnapshot(locked.source, database, locked.snapshot.id, "test reader");
      await reader.query("LOCK TABLE public.t IN ACCESS SHARE MODE");
      const truncated = server.query("TRUNCATE t", { database, login: impatiently });
      const options = { ...locked, readers: [readerName], ...(patienceMs === undefined ? {} : { patienceMs }) };
      try {
        return await yieldToWaiters(options, async (signal) => {
          await until("the watch has looked for a second", async () => signal.aborted || (await hasLookedFor(1)));
          signal.throwIfAborted();
          return true;
        });
      } finally {
        await reader.end();
        await locked.snapshot.release();
        await truncated;
      }
    }

    const hasLookedFor = async (seconds: number): Promise<boolean> => {
      const looked = `SELECT FROM pg_stat_activity watch, pg_stat_activity waiter
        WHERE watch.application_name ~ 'look at locks' AND waiter.datname = $1 AND waiter.wait_event_type = 'Lock'
          AND watch.query_start > waiter.query_start + $2 * interval '1 s'`;
      return (await server.query(looked, { values: [database, seconds] })).length > 0;
    };

    it("yields to an application that waits for the reader", async () => {
      await assert.rejects(truncateBeside(), isYield);
    });

    it("does not yield before the application has waited for its time", async () => {
      assert.equal(await truncateBeside(60_000), true);
    });
  });

  it("releases the snapshot when the copy waits behind an application that waits for the snapshot", async () => {
    const locked = await lockedSnapshot();
    const run = yieldToWaiters(locked, async () => {
      const session = await openInSnapshot(locked.source, database, locked.snapshot.id, "test join");
      try {
        const truncated = server.query("TRUNCATE t", { database, login: impatiently });
        await delay(300);
        await session.query("TABLE public.t");
        await truncated;
      } finally {
        await session.end();
      }
      throw new Error("the snapshot is gone");
    });
    await assert.rejects(run, isYield);
  });

  it("keeps the snapshot while applications lock other tables, and read and write the locked one", async () => {
    const locked = await lockedSnapshot();
    const result = await yieldToWaiters(locked, async (signal) => {
      for (let round = 0; round < 5; round++) {
        await server.query("TRUNCATE other; INSERT INTO t VALUES (1); TABLE t", { database });
        await delay(300);
      }
      return signal.aborted;
    });
    assert.equal(result, false);
    assert.equal(locked.snapshot.lost.aborted, false);
    await locked.snapshot.release();
  });
});
