import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { ContentDiffersError, EngineError, RefusedError, TakenOverError } from "../../provider/src/errors";
import { dropSlot } from "../../provider/src/cdc/source/drop-slot";
import type { FollowEvent } from "../../provider/src/cdc/follow-options";
import { currentLsn } from "../../provider/src/cdc/source/lag";
import { createSlot } from "../../provider/src/cdc/source/slot";
import { migrationRoles, rollbackRoles } from "../../provider/src/cdc/model/stream-roles";
import { verifySlotPlace } from "../../provider/src/cdc/source/slot-identity";
import { inspectSlot } from "../../provider/src/cdc/source/slot-state";
import { formatLsn } from "../../provider/src/postgres/lsn";
import { CuttableProxy } from "./cuttable-proxy";
import { randomTables } from "./random-changes";
import { Stage } from "./apply/stage";
import { Seeded, seed } from "../support/seeded";
import { until } from "../support/until";

const run = promisify(execFile);

describe("Follower", () => {
  const random = new Seeded(seed);
  const servers = new Stage({ from: 14, to: 18, parameters: { wal_sender_timeout: "5s" } });

  it("loses no commit between two adjacent commit records, over restarts", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY, v int)");
    let next = 0;
    for (let round = 0; round < 5; round++) {
      const sessions = await Promise.all(Array.from({ length: 8 }, () => servers.source.connect(s.database)));
      const follower = s.follow({ generation: round + 1 });
      await Promise.all(
        sessions.map(async (session) => {
          for (let i = 0; i < 100; i++) await session.query("INSERT INTO t VALUES ($1, $2)", [next++, round]);
          await session.end();
        }),
      );
      await follower.stop();
    }
    await s.mustBecomeEqual(s.follow({ generation: 100 }));
  });

  it("drains exactly to an LSN under load: the target equals the source's snapshot there", async () => {
    const s = await servers.open(randomTables);
    const changes = await servers.write(s, 3);
    const follower = s.follow();
    for (let round = 0; round < 4; round++) {
      const { appliedLsn } = follower.status();
      await until("further changes are applied", () => follower.status().appliedLsn !== appliedLsn);
      await s.compareAtPoint(follower);
    }
    await changes.stop();
    await s.mustBecomeEqual(follower);
  });

  it("drains to asynchronous commits that the source has not written to its WAL yet", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY)");
    const follower = s.follow();
    const writer = await servers.source.connect(s.database);
    const observer = await servers.source.connect(s.database);
    await writer.query("SET synchronous_commit = off");
    let unwritten = 0;
    for (let id = 0; id < 40; id++) {
      await follower.hold();
      await writer.query("INSERT INTO t VALUES ($1)", [id]);
      const lsn = await currentLsn(observer);
      const { rows } = await observer.query<{ isUnwritten: boolean }>(
        `SELECT pg_current_wal_lsn() < '${formatLsn(lsn)}'::pg_lsn AS "isUnwritten"`,
      );
      if (rows[0]!.isUnwritten) unwritten++;
      await follower.drainTo(lsn);
      assert.equal((await s.onTarget(`SELECT FROM t WHERE id = ${id}`)).length, 1, `row ${id} is on the target`);
      follower.resume();
    }
    await Promise.all([writer.end(), observer.end()]);
    assert.ok(unwritten > 0, "no commit was drained before it was written");
  });

  it("drains exactly to an LSN with test_decoding, which sends a transaction's LSN only at its end", async () => {
    const s = await servers.open(randomTables, "test_decoding");
    const traffic = await servers.write(s, 3);
    const follower = s.follow();
    for (let round = 0; round < 3; round++) {
      const { appliedLsn } = follower.status();
      await until("further changes are applied", () => follower.status().appliedLsn !== appliedLsn);
      await s.compareAtPoint(follower);
    }
    await follower.hold();
    await s.onSource("INSERT INTO bag SELECT i, repeat('x', 50) FROM generate_series(1, 50000) i");
    const behindLargeTransaction = await s.sourceLsn();
    await traffic.stop();
    await follower.drainTo(behindLargeTransaction);
    follower.resume();
    await s.mustBecomeEqual(follower);
  });

  it("refuses to drain to an LSN before the last applied commit", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY)");
    const follower = s.follow();
    const early = await s.sourceLsn();
    await s.onSource("INSERT INTO t VALUES (1)");
    await s.mustBecomeEqual(follower);
    await assert.rejects(follower.drainTo(early), EngineError);
  });

  it("fails with TakenOverError if a missing row is the work of its successor", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'v')");
    const follower = s.follow({ generation: 1 });
    await s.onSource("UPDATE t SET v = 'w'");
    await s.mustBecomeEqual(follower);
    const ended = assert.rejects(follower.finished, TakenOverError);
    await follower.hold();
    await servers.target.query("UPDATE pgmigration.progress SET generation = 2; DELETE FROM t", {
      database: s.database,
    });
    await s.onSource("UPDATE t SET v = 'x'");
    follower.resume();
    await ended;
  });

  it("counts the changes of each table, also those of a predecessor", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE u (id int PRIMARY KEY)");
    const first = s.follow({ generation: 1 });
    await s.onSource("INSERT INTO t SELECT g, g FROM generate_series(1, 5) g; INSERT INTO u VALUES (1)");
    await s.onSource("UPDATE t SET v = 0 WHERE id < 3");
    await s.mustBecomeEqual(first);
    await first.stop();
    const second = s.follow({ generation: 2 });
    await s.onSource("DELETE FROM t WHERE id = 5; TRUNCATE u");
    await s.mustBecomeEqual(second);
    const { tables, inserts, updates, deletes, truncates } = second.status();
    assert.deepEqual(
      [...tables.values()].sort((one, other) => one.table.localeCompare(other.table)),
      [
        { schema: "public", table: "t", inserts: 5, updates: 2, deletes: 1, truncates: 0 },
        { schema: "public", table: "u", inserts: 1, updates: 0, deletes: 0, truncates: 1 },
      ],
    );
    assert.deepEqual([inserts, updates, deletes, truncates], [6, 2, 1, 1]);
  });

  it("drains an idle source, and advances its slot", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY)");
    const follower = s.follow();
    await servers.source.query("CREATE TABLE elsewhere AS SELECT generate_series(1, 10000)");
    const lsn = await s.sourceLsn();
    await follower.drainTo(lsn);
    const { state, appliedLsn } = follower.status();
    assert.equal(state, "held");
    assert.ok(appliedLsn! >= lsn);
    await until("no latency", () => follower.status().latencySeconds === 0);
    follower.resume();
    await servers.source.query("DROP TABLE elsewhere");
    const session = await servers.source.connect(s.database);
    await until(
      "the slot is advanced",
      async () => (await inspectSlot(session, s.names.slot))!.confirmedFlushLsn! > lsn,
    );
    await session.end();
  });

  it("counts received WAL of other databases as no lag, before it is recorded as applied", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY)");
    const follower = s.follow();
    let status = follower.status();
    await until("WAL of another database is received and not recorded yet", async () => {
      await servers.source.query("SELECT pg_logical_emit_message(false, 'other', repeat('x', 100000))");
      status = follower.status();
      const { appliedLsn, receivedLsn, sourceLsn } = status;
      return appliedLsn! < receivedLsn! && appliedLsn! < sourceLsn!;
    });
    assert.equal(status.lagBytes, Math.max(0, Number(status.sourceLsn! - status.receivedLsn!)));
  });

  it("survives cuts of its connections on either side", async () => {
    const s = await servers.open(randomTables);
    const toSource = await CuttableProxy.to(s.source);
    const toTarget = await CuttableProxy.to(s.target);
    const lost: string[] = [];
    const follower = s.follow({
      source: toSource.endpoint,
      target: toTarget.endpoint,
      onEvent: (event) => {
        if (event.kind === "connectionLost") lost.push(event.reason);
      },
    });
    const changes = await servers.write(s, 2);
    for (const proxy of [toSource, toTarget, toSource, toTarget, toTarget, toSource]) {
      await until("the follower streams", () => follower.status().state === "streaming");
      // The connection is cut at a random moment of the stream.
      await sleep(random.below(400));
      const before = lost.length;
      proxy.cut();
      await until("the loss is reported", () => lost.length > before);
    }
    await until("the follower streams again", () => follower.status().state === "streaming");
    toSource.refuse();
    await until("the follower reconnects", () => follower.status().state === "reconnecting");
    toSource.mend();
    await changes.stop();
    await s.mustBecomeEqual(follower);
    await follower.stop();
    await toSource.close();
    await toTarget.close();
  });

  for (const side of ["source", "target"] as const)
    it(`detects half-open connections to the ${side}, and reconnects`, async () => {
      const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY, v text)");
      const proxy = await CuttableProxy.to(s[side]);
      const lost: string[] = [];
      const follower = s.follow({
        [side]: proxy.endpoint,
        silenceLimitSeconds: 3,
        onEvent: (event) => {
          if (event.kind === "connectionLost") lost.push(event.reason);
        },
      });
      await s.onSource("INSERT INTO t VALUES (1, 'before')");
      await s.mustBecomeEqual(follower);
      proxy.swallow();
      await s.onSource("INSERT INTO t VALUES (2, 'during')");
      const expected = side === "source" ? /silent|not answered/ : /dead/;
      await until(`a loss by ${expected.source}`, () => lost.some((reason) => expected.test(reason)));
      await s.mustBecomeEqual(follower);
      proxy.swallow();
      await s.onSource("INSERT INTO t VALUES (3, 'before the end')");
      await follower.stop();
      await proxy.close();
    });

  it("resumes after a COMMIT whose connection was lost while it waited for a standby server", async () => {
    const s = await servers.open("CREATE TABLE log (v int)");
    const proxy = await CuttableProxy.to(s.target);
    const synchronousStandby = async (name: string): Promise<void> => {
      await servers.target.query(`ALTER SYSTEM SET synchronous_standby_names = '${name}'`);
      await servers.target.query("SELECT pg_reload_conf()");
      await until("the setting is in force", async () => {
        const [row] = await servers.target.query("SELECT current_setting('synchronous_standby_names') AS name");
        return row!.name === name;
      });
    };
    const waiting =
      (event: string): (() => Promise<boolean>) =>
      async () =>
        (
          await s.onTarget(
            `SELECT FROM pg_stat_activity
          WHERE datname = current_database() AND wait_event = '${event}' AND application_name LIKE '%apply changes%'`,
          )
        ).length > 0;
    const follower = s.follow({ target: proxy.endpoint });
    try {
      await s.onSource("INSERT INTO log VALUES (1)");
      await s.mustBecomeEqual(follower);
      await synchronousStandby("missing");
      await s.onSource("INSERT INTO log VALUES (2)");
      await until("a COMMIT waits for the standby", waiting("SyncRep"));
      proxy.cut();
      await until("the next connection waits for this COMMIT", waiting("transactionid"));
      await synchronousStandby("");
      await s.mustBecomeEqual(follower);
    } finally {
      await synchronousStandby("");
      await proxy.close();
    }
  });

  it("does not consider a slow target dead, with a slow connection or with a lock", async () => {
    const s = await servers.open(
      "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE locked (id int PRIMARY KEY)",
    );
    const proxy = await CuttableProxy.to(s.target);
    const lost: string[] = [];
    const follower = s.follow({
      target: proxy.endpoint,
      silenceLimitSeconds: 4,
      onEvent: (event) => {
        if (event.kind === "connectionLost") lost.push(event.reason);
      },
    });
    await until("the follower streams", () => follower.status().state === "streaming");
    proxy.slowDown(400_000);
    await s.onSource("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 3000) i");
    await s.mustBecomeEqual(follower);
    const lock = await servers.target.connect(s.database, servers.administrator);
    await lock.query("BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE");
    await s.onSource("INSERT INTO locked VALUES (1)");
    await until("the lock is held longer than the silence limit", () => follower.status().latencySeconds > 5);
    await lock.end();
    await s.mustBecomeEqual(follower);
    assert.deepEqual(lost, []);
    await follower.stop();
    await proxy.close();
  });

  it("refuses a slot that was dropped and recreated", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY)");
    await s.onSource("INSERT INTO t VALUES (1)");
    await dropSlot(s.source, s.database, s.names.slot);
    await assert.rejects(
      s.follow().finished,
      (error: Error) => error instanceof RefusedError && /slot does not exist/.test(error.message),
    );
    const slot = await createSlot({ source: s.source, database: s.database, slot: s.names.slot, plugin: "pgoutput" });
    await slot.release();
    await assert.rejects(
      s.follow().finished,
      (error: Error) => error instanceof RefusedError && /slot was recreated/.test(error.message),
    );
  });

  for (const plugin of ["pgoutput", "test_decoding"] as const)
    it(`names the removed WAL file that a slot with ${plugin} needs`, async () => {
      const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY)", plugin);
      const [slot] = await s.onSource(
        `SELECT pg_walfile_name(restart_lsn) AS file FROM pg_replication_slots WHERE slot_name = '${s.names.slot}'`,
      );
      await s.onSource("SELECT pg_switch_wal()");
      await s.onSource("INSERT INTO t VALUES (1)");
      await s.onTarget("UPDATE pgmigration.progress SET applied_through_lsn = applied_through_lsn + 8");
      await rm(join(servers.source.dataDirectory, "pg_wal", slot!.file as string));
      await assert.rejects(
        s.follow().finished,
        (error: Error) =>
          error instanceof RefusedError &&
          /changes .* are lost.* no longer has the WAL .*[0-9A-F]{24}.*delete this migration/s.test(error.message),
      );
    });

  it("accepts a slot that is advanced to the applied position while it is checked", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY)");
    const session = await servers.source.connect(s.database);
    const other = await servers.source.connect(s.database);
    await other.query("SELECT pg_advisory_lock(1)");
    let appliedThroughLsn = await s.sourceLsn();
    // The session's next query waits until this one is answered.
    const isHeld = session.query("SELECT pg_advisory_lock(1)");
    const slot = { name: s.names.slot, parts: migrationRoles };
    const isVerified = verifySlotPlace(session, slot, () => appliedThroughLsn);
    await s.onSource("INSERT INTO t VALUES (1)");
    appliedThroughLsn = await s.sourceLsn();
    await s.onSource(`SELECT pg_replication_slot_advance('${s.names.slot}', '${formatLsn(appliedThroughLsn)}')`);
    await other.end();
    await isHeld;
    await isVerified;
    appliedThroughLsn = 1n;
    await assert.rejects(
      verifySlotPlace(session, slot, () => appliedThroughLsn),
      (error: Error) =>
        error instanceof RefusedError &&
        /the target has changes only up to 0\/1.*delete this migration/s.test(error.message),
    );
    await assert.rejects(
      verifySlotPlace(session, { ...slot, parts: rollbackRoles }, () => appliedThroughLsn),
      /the source has changes only up to 0\/1.*set rollback to drop/s,
    );
    await session.end();
  });

  it("refuses a promoted source, whose history may differ", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY)");
    const follower = s.follow();
    await s.onSource("INSERT INTO t VALUES (1)");
    await s.mustBecomeEqual(follower);
    await servers.source.halt();
    const signal = join(servers.source.dataDirectory, "standby.signal");
    await writeFile(signal, "");
    await chmod(signal, 0o666);
    await servers.source.resume();
    await servers.source.query("SELECT pg_promote()");
    await assert.rejects(
      follower.finished,
      (error: Error) => error instanceof RefusedError && /source was promoted .*timeline 2, not 1/.test(error.message),
    );
  });

  it("refuses a source that was restored to a position before the target's", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY)");
    await s.onSource("INSERT INTO t VALUES (1)");
    const follower = s.follow();
    await s.mustBecomeEqual(follower);
    await follower.stop();
    await s.onTarget("UPDATE pgmigration.progress SET applied_through_lsn = applied_through_lsn + 1000000000");
    await assert.rejects(
      s.follow().finished,
      (error: Error) => error instanceof RefusedError && /restored to an earlier state/.test(error.message),
    );
  });

  const inPortions = { backlog: { behindBytes: 0 } };
  for (const [plugin, readers] of [
    ["pgoutput", [inPortions, {}]],
    ["test_decoding", [{}]],
  ] as const)
    it(`refuses a source that was restored and written since, with ${plugin}`, async () => {
      const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY)", plugin);
      const { dataDirectory } = servers.source;
      const kept = `${dataDirectory}-kept`;
      await servers.source.halt();
      await run("cp", ["-Rp", dataDirectory, kept]);
      await servers.source.resume();
      await s.onSource("INSERT INTO t VALUES (1)");
      const follower = s.follow();
      await s.mustBecomeEqual(follower);
      await follower.stop();

      await servers.source.halt();
      await rm(dataDirectory, { recursive: true });
      await rename(kept, dataDirectory);
      await servers.source.resume();
      // Some of these commits end before the target's position, and would be skipped as already applied.
      for (let id = 100; id < 120; id++) await s.onSource(`INSERT INTO t VALUES (${id})`);
      const events: FollowEvent[] = [];
      for (const reader of readers)
        await assert.rejects(
          s.follow({ ...reader, onEvent: (event) => events.push(event) }).finished,
          (error: Error) =>
            error instanceof RefusedError && /restored to an earlier state, and written/.test(error.message),
        );
      assert.equal(events.filter((event) => event.kind === "backlog").length, readers.length - 1);
      assert(!events.some((event) => event.kind === "backlog" && event.refused !== undefined));
      assert.deepEqual(await s.onTarget("SELECT id FROM t"), [{ id: 1 }]);
    });

  it("stops at once while it checks the source's history with test_decoding", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY)", "test_decoding");
    await s.onSource("INSERT INTO t SELECT generate_series(1, 200000)");
    const [source] = await s.onSource("SELECT pg_current_wal_lsn()::text AS lsn");
    await s.onTarget(`UPDATE pgmigration.progress SET applied_through_lsn = '${source!.lsn as string}'`);
    const follower = s.follow();
    let backend: number | undefined;
    await until("the follower checks the history", async () => {
      const [row] = await s.onSource(
        "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state = 'active' AND query ~ 'slot_peek_changes'",
      );
      backend = row?.pid as number | undefined;
      return backend !== undefined;
    });
    process.kill(backend!, "SIGSTOP");
    try {
      await follower.stop();
    } finally {
      process.kill(backend!, "SIGCONT");
    }
    const open = `SELECT FROM pg_stat_activity WHERE pid = ${backend}`;
    await until("the server has ended the session", async () => (await s.onSource(open)).length === 0);
  });

  it("ends when a follower of a later generation takes over", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY)");
    const first = s.follow({ generation: 1 });
    await until("streaming", () => first.status().state === "streaming");
    const second = s.follow({ generation: 2 });
    await s.onSource("INSERT INTO t VALUES (1)");
    await assert.rejects(first.finished, TakenOverError);
    await s.mustBecomeEqual(second);
    await assert.rejects(s.follow({ generation: 1 }).finished, TakenOverError);
  });

  it("names transaction, table and row of a change that the target has no row for", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (2, 2)");
    await s.onTarget("DELETE FROM t WHERE id = 2");
    const follower = s.follow();
    await s.onSource("UPDATE t SET v = 3");
    await assert.rejects(follower.finished, (error: Error) => {
      assert.ok(error instanceof ContentDiffersError, String(error));
      assert.match(error.message, /UPDATE of \(id\)=\(2\) in "public"\."t", transaction \d+ committed at [0-9A-F]+\//);
      return true;
    });
    assert.deepEqual(await s.onTarget("SELECT v FROM t"), [{ v: 1 }]);
  });

  it("names the row of an insert that the target already has", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY, v int)");
    await s.onTarget("INSERT INTO t VALUES (7, 0)");
    const follower = s.follow();
    await s.onSource("INSERT INTO t VALUES (6, 1), (7, 1)");
    await assert.rejects(follower.finished, /INSERT of \(id\)=\(7\).*duplicate key/);
  });

  it("names the DDL that the target lacks, and resumes once it was executed", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY)");
    await s.onSource("INSERT INTO t VALUES (1); ALTER TABLE t ADD COLUMN extra text");
    await s.onSource("INSERT INTO t VALUES (2, 'x')");
    await assert.rejects(
      s.follow().finished,
      (error: Error) => error instanceof RefusedError && /ADD COLUMN "extra"/.test(error.message),
    );
    await s.onTarget("ALTER TABLE t ADD COLUMN extra text");
    await s.mustBecomeEqual(s.follow());
  });

  it("stops at once while the target hangs", async () => {
    const s = await servers.open("CREATE TABLE t (id int PRIMARY KEY)");
    const lock = await servers.target.connect(s.database, servers.administrator);
    await lock.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    const follower = s.follow();
    await s.onSource("INSERT INTO t VALUES (1)");
    await until("the target has a batch", () => follower.status().pendingTransactions > 0);
    await follower.stop();
    assert.equal(follower.status().state, "stopped");
    await lock.end();
    await s.mustBecomeEqual(s.follow({ generation: 2 }));
  });
});
