import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type BacklogLimits,
  backlogLimits,
  canAdvanceCopiedSlots,
} from "../../../provider/src/cdc/reader/backlog-limits";
import { BacklogReader } from "../../../provider/src/cdc/reader/backlog-reader";
import { openBacklogSession } from "../../../provider/src/cdc/reader/backlog-session";
import { BacklogIncomplete } from "../../../provider/src/cdc/model/signals";
import { readerSlot } from "../../../provider/src/cdc/model/names";
import { migrationRoles } from "../../../provider/src/cdc/model/stream-roles";
import { pgOutputOptions } from "../../../provider/src/cdc/decode/pgoutput";
import { CuttableProxy } from "../cuttable-proxy";
import { randomTables } from "../random-changes";
import { type Scene } from "../scene";
import { Stage } from "../apply/stage";
import { until } from "../../support/until";
import {
  backlog,
  backlogServers,
  followBacklog,
  holdInPortion,
  manyRows,
  slotsOf,
  writeManyRows,
} from "./backlog-scene";
import { changeSlotMeanwhile } from "./changed-slot";
import { readLargeTransaction } from "./large-transaction";

describe("a backlog", () => {
  const servers = new Stage(backlogServers);

  it("is read with SQL in portions, also if a table is altered in its middle, and a walsender continues after it", async () => {
    const s = await servers.open(`${randomTables}; ${manyRows}`);
    await s.onTarget("ALTER TABLE many ADD COLUMN added text");
    const random = await servers.write(s, 3);
    await s.onSource(writeManyRows(0));
    await s.onSource("ALTER TABLE many ADD COLUMN added text; INSERT INTO many VALUES (-1, 0, 'added')");
    await s.onSource(writeManyRows(100_000));
    const { follower, events } = followBacklog(s);
    await holdInPortion(s, follower);
    await s.compareAtPoint(follower);
    await until("the walsender streams", async () => (await slotsOf(s))[s.names.slot] === true);
    assert.deepEqual(Object.keys(await slotsOf(s)), [s.names.slot]);
    await s.compareAtPoint(follower);
    await random.stop();
    await s.mustBecomeEqual(follower);
    assert.deepEqual(
      events.map((event) => (event.kind === "backlog" ? event.refused : event.kind)),
      [undefined, "streaming"],
    );
  });

  it("is read through the walsender if the version may remove catalogue rows that a copied slot needs", () => {
    const sound = [130021, 140018, 150013, 160009, 170005, 180000, 190000];
    const unsound = [100023, 120022, 130020, 140017, 150012, 160008, 170004];
    assert.deepEqual(
      sound.map(canAdvanceCopiedSlots),
      sound.map(() => true),
    );
    assert.deepEqual(
      unsound.map(canAdvanceCopiedSlots),
      unsound.map(() => false),
    );
  });

  it("advances the slot exactly to the applied position, also between adjacent commits and over restarts", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY)");
    const sessions = await Promise.all(Array.from({ length: 8 }, () => servers.source.connect(s.database)));
    let next = 0;
    const write = (): Promise<unknown> =>
      Promise.all(
        sessions.map(async (session) => {
          for (let i = 0; i < 30; i++) await session.query("INSERT INTO t VALUES ($1)", [next++]);
        }),
      );
    // The reader never finishes, so that only the reader itself advances the slot.
    const endless = { behindBytes: 0, restBytes: -1, advanceEveryMs: 0 };
    for (let round = 0; round < 5; round++) {
      const written = write();
      await until("some being written", () => next > round * 240 + 100);
      const middle = await s.sourceLsn();
      await written;
      const { follower } = followBacklog(s, { generation: round + 1, backlog: endless });
      await follower.drainTo(middle);
      await until("the slot is advanced", () => {
        const { appliedLsn, confirmedLsn } = follower.status();
        return appliedLsn !== undefined && confirmedLsn === appliedLsn;
      });
      await follower.stop();
    }
    for (const session of sessions) await session.end();
    await s.mustBecomeEqual(s.follow({ generation: 100, backlog }));
  });

  it("is read again after its session was terminated", async () => {
    const s = await servers.open(manyRows);
    await s.onSource(writeManyRows(0));
    const { follower, events } = followBacklog(s);
    await holdInPortion(s, follower);
    await s.onSource(
      "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE temporary AND database = current_database()",
    );
    follower.resume();
    await until("the loss is reported", () => events.some(({ kind }) => kind === "connectionLost"));
    await s.mustBecomeEqual(follower);
    assert.equal(events.filter(({ kind }) => kind === "backlog").length, 2);
  });

  it("ends the stream if another session has advanced the slot meanwhile, and skips no change", () =>
    changeSlotMeanwhile(servers, "advanced"));

  it("is not applied twice if the role may no longer read pg_replication_slots after a portion", async () => {
    const s = await servers.open("CREATE TABLE many (id int, n int); ALTER TABLE many REPLICA IDENTITY FULL");
    await s.onSource(writeManyRows(0));
    await servers.source.query("CREATE ROLE reader LOGIN REPLICATION PASSWORD 'reader'");
    try {
      const { follower } = followBacklog(s, { source: { ...s.source, user: "reader", password: "reader" } });
      await holdInPortion(s, follower);
      await s.onSource("REVOKE SELECT ON pg_catalog.pg_replication_slots FROM PUBLIC");
      follower.resume();
      await assert.rejects(s.mustBecomeEqual(follower), /permission denied for view pg_replication_slots/);
      await s.onSource("GRANT SELECT ON pg_catalog.pg_replication_slots TO PUBLIC");
      await s.mustBecomeEqual(followBacklog(s, { generation: 2 }).follower);
    } finally {
      await servers.source.query("DROP ROLE reader");
    }
  });

  it("is read through the walsender, from the slot's position, if the role may not read the end of the WAL", async () => {
    const s = await servers.open(manyRows);
    const { slot } = s.names;
    await s.onSource(`SELECT pg_copy_logical_replication_slot('${slot}', 'kept')`);
    await s.onSource("INSERT INTO many VALUES (1, 1)");
    const { follower: first } = followBacklog(s);
    await s.mustBecomeEqual(first);
    await first.stop();
    // Simulates a crash of the source, which loses the last confirmed position.
    await s.onSource(`SELECT pg_drop_replication_slot('${slot}')`);
    await s.onSource(`SELECT pg_copy_logical_replication_slot('kept', '${slot}'), pg_drop_replication_slot('kept')`);
    await s.onSource("REVOKE EXECUTE ON FUNCTION pg_catalog.pg_current_wal_flush_lsn() FROM PUBLIC");
    await s.onSource("INSERT INTO many VALUES (2, 2)");
    await servers.source.query("CREATE ROLE reader LOGIN REPLICATION PASSWORD 'reader'");
    try {
      const { follower, events } = followBacklog(s, {
        generation: 2,
        source: { ...s.source, user: "reader", password: "reader" },
      });
      await s.mustBecomeEqual(follower);
      await follower.stop();
      assert.deepEqual(
        events.map((event) => (event.kind === "backlog" ? event.refused : event.kind)),
        [undefined, "streaming"],
      );
    } finally {
      await servers.source.query("DROP ROLE reader");
    }
  });

  it("is read through the walsender while a slow target would hold back the source's vacuum", async () => {
    const s = await servers.open(manyRows);
    await s.onSource(writeManyRows(0));
    const { follower, events } = followBacklog(s, { backlog: { ...backlog, longestPauseMs: 2000 } });
    await follower.hold();
    await until("the walsender streams", async () => (await slotsOf(s))[s.names.slot] === true);
    await until("the reader's session ends", async () => !(readerSlot(s.names.slot) in (await slotsOf(s))));
    follower.resume();
    await s.mustBecomeEqual(follower);
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ["backlog", "streaming", "streaming"],
    );
  });

  it("is read through the walsender if the copy would take the source's last replication slot", async () => {
    const s = await servers.open(manyRows);
    await s.onSource(writeManyRows(0));
    for (const name of ["a", "b", "c", "d"])
      await servers.source.query(`SELECT pg_create_physical_replication_slot('${name}')`);
    try {
      const { follower, events } = followBacklog(s);
      await s.mustBecomeEqual(follower);
      assert.match((events[0] as { refused?: string }).refused ?? "", /too few are free/);
      assert.deepEqual(Object.keys(await slotsOf(s)), [s.names.slot]);
    } finally {
      for (const name of ["a", "b", "c", "d"]) await servers.source.query(`SELECT pg_drop_replication_slot('${name}')`);
    }
  });

  it("is read through the walsender at a transaction for which the source would write a large file, alone", () =>
    readLargeTransaction(servers));

  describe("with a silent connection", () => {
    interface Reading {
      readonly proxy: CuttableProxy;
      readonly ends: unknown[];
      messages: number;
      /** Unblocks the reader's first query of its position. */
      readonly release: () => Promise<unknown>;
    }

    /** Runs a reader behind a proxy, with a second session without the proxy. The reader's first query waits for a lock. */
    const read = async (
      on: Scene,
      limits: Partial<BacklogLimits>,
      during: (reading: Reading) => Promise<void>,
    ): Promise<void> => {
      const proxy = await CuttableProxy.to(on.source);
      const [source, holder] = await Promise.all([1, 2].map(() => servers.source.connect(on.database)));
      const session = await openBacklogSession(proxy.endpoint, source!, on.database, on.names.slot);
      if (typeof session === "string") throw new Error(session);
      // Unlike LOCK TABLE, this does not lock the tables of the view.
      await holder!.query("SET allow_system_table_mods = on");
      await holder!.query("BEGIN; ALTER VIEW pg_catalog.pg_replication_slots OWNER TO CURRENT_USER");
      const release = (): Promise<unknown> => holder!.query("ROLLBACK");
      const reading: Reading = { proxy, ends: [], messages: 0, release };
      const reader = new BacklogReader({
        session,
        source: source!,
        slot: { name: on.names.slot, parts: migrationRoles },
        from: await on.sourceLsn(),
        pluginOptions: pgOutputOptions(on.options().publications, "text"),
        limits: { ...backlogLimits, ...backlog, ...limits },
        handlers: {
          onData: () => reading.messages++,
          onKeepalive: () => undefined,
          onRead: () => reading.ends.push("read"),
          onLost: (error) => reading.ends.push(error),
          isBusy: () => false,
          silenceLimitMs: 500,
        },
      });
      try {
        await until("the reader waits for the lock", waitsForLock);
        await during(reading);
      } finally {
        await holder!.end();
        await reader.close();
        await source!.end();
        await proxy.close();
      }
    };
    const waitsForLock = async (): Promise<boolean> =>
      (
        await servers.source.query(
          "SELECT FROM pg_stat_activity WHERE application_name = 'pg-migration read backlog' AND wait_event_type = 'Lock'",
        )
      ).length > 0;

    it("detects a dead connection from the state of its backend", async () => {
      const s = await servers.open(manyRows);
      await s.onSource(writeManyRows(0));
      await read(s, {}, async ({ proxy, ends, release }) => {
        proxy.swallow();
        await release();
        await until("the reader fails", () => ends.length > 0);
        assert.match(String(ends[0]), /the connection on which the source's backlog is read is dead/);
      });
    });

    it("waits for a working session, also with track_activities = off, but at most longestSilenceMs", async () => {
      const s = await servers.open(manyRows);
      await s.onSource(writeManyRows(0));
      await s.onSource(`ALTER DATABASE ${s.database} SET track_activities = off`);
      await read(s, {}, async (reading) => {
        // Three times the silence limit, in which the reader must not give up.
        await sleep(1500);
        assert.deepEqual(reading.ends, []);
        await reading.release();
        await until("the reader finishes", () => reading.ends.length > 0);
        assert.deepEqual(reading.ends, ["read"]);
        assert.ok(reading.messages > 60_000);
      });
      await read(s, { longestSilenceMs: 2000 }, async ({ ends }) => {
        await until("the reader gives up", () => ends.length > 0);
        assert.ok(ends[0] instanceof BacklogIncomplete);
      });
    });
  });
});
