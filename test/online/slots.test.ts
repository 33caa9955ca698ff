import assert from "node:assert/strict";
import { SourceSlots } from "../../provider/src/worker/run/source-slots";
import type { Work } from "../../provider/src/worker/context/work";
import { assertSameContent } from "../support/content";
import { assertFinding, findingLines } from "../support/findings";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { startStartingServer } from "../support/servers/starting-server";
import { until } from "../support/until";

const table = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)";

describe("the source's replication slots", () => {
  let lab: Lab;

  before(async () => {
    // One slot for each of three databases, and one for comparisons.
    lab = await Lab.start({ source: { parameters: { max_replication_slots: 4, max_prepared_transactions: 2 } } });
  });
  after(() => lab.stop());

  it("suffice for the cutovers of all databases at once if there is one more than databases", async () => {
    const databases = [await lab.database(table), await lab.database(table), await lab.database(table)];
    const resource = await lab.follow(databases);
    for (const database of databases) await lab.source.query("INSERT INTO t VALUES (1000)", { database });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    for (const database of databases)
      await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await resource.destroy();
  });

  it("are awaited by databases that find none free, until other databases are cut over", async () => {
    const databases = [await lab.database(table), await lab.database(table), await lab.database(table)];
    // Two slots remain: one for a stream, one for comparisons.
    for (const name of ["a_replica", "another"])
      await lab.source.query(`SELECT pg_create_physical_replication_slot('${name}')`);
    const resource = new Resource();
    const detailsOf = (name: string) => resource.status.currentSubStateDetails.dbDetails[name]!;
    const waiting = (): string[] => databases.filter((name) => detailsOf(name).migrationState === "InProgress");
    await resource.create(lab.onlineInputs(databases));
    assert.equal(resource.status.currentSubStateDetails.currentSubState, "WaitingForCutoverTrigger");
    const finding = /2 of 4 replication slots are free[^}]*4 are needed[^}]*2 of them will wait/;
    assertFinding(resource.status, finding);
    const late = waiting();
    assert.equal(late.length, 2);
    for (const name of late) {
      assert.match(detailsOf(name).message!, /waiting for a free replication slot of the source: 3 of 4 are taken/);
      assert.match(detailsOf(name).message!, /To do: .*ALTER SYSTEM SET max_replication_slots = 5/);
    }
    for (const database of databases) await lab.source.query("INSERT INTO t VALUES (1000)", { database });
    const dbsToTriggerCutoverOn = databases.filter((name) => !late.includes(name));
    await resource.update({ triggerCutover: true, dbsToTriggerCutoverOn });
    await until("the next database is replicated", async () => {
      await resource.refresh();
      return waiting().length === 1;
    });
    await lab.source.query("SELECT pg_drop_replication_slot('another')");
    await until("all databases are replicated", async () => {
      await resource.refresh();
      return waiting().length === 0;
    });
    assert.equal((await resource.update({ dbsToTriggerCutoverOn: databases })).state, "Succeeded");
    for (const database of databases)
      await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await lab.source.query("SELECT pg_drop_replication_slot('a_replica')");
    await resource.destroy();
  });

  it("read by SQL functions do not count as WAL senders", async () => {
    const database = await lab.database(table);
    const own = ["pg_migration_another", "pg_migration_another_read"];
    for (const name of own) await lab.source.query(`SELECT pg_create_logical_replication_slot('${name}', 'pgoutput')`);
    // Ten senders: seven are taken. One is for the existing slot, one for this database, and one is reserved.
    const senders = await Promise.all(
      Array.from({ length: 7 }, () => lab.source.connect(database, { replication: "database" } as object)),
    );
    const messages: unknown[] = [];
    const work = {
      spec: { migrationName: "m", target: lab.administrator },
      source: { ...lab.source.login, sslMode: "Disable" },
      journal: { database: (_name: string, changes: unknown) => Promise.resolve(messages.push(changes)) },
    } as unknown as Work;
    try {
      const begun = await new SourceSlots().begin(work, database, () => Promise.resolve("begun"));
      assert.deepEqual([begun, messages], ["begun", []]);
    } finally {
      await Promise.all(senders.map((sender) => sender.end()));
      for (const name of own) await lab.source.query(`SELECT pg_drop_replication_slot('${name}')`);
    }
  });

  it("advance while their database is idle and another database is written", async () => {
    const idle = await lab.database(table);
    const busy = await lab.database("CREATE TABLE noise (v text)");
    const resource = await lab.follow([idle]);
    const confirmed = async (): Promise<unknown> =>
      (await lab.source.query("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE NOT temporary"))[0]!
        .confirmed_flush_lsn;
    await lab.source.query("INSERT INTO noise SELECT repeat('x', 1000) FROM generate_series(1, 1000)", {
      database: busy,
    });
    const [end] = await lab.source.query<{ lsn: string }>("SELECT pg_current_wal_lsn()::text AS lsn");
    await until("the slot has advanced past the writes", async () => {
      const [row] = await lab.source.query<{ beyond: boolean }>("SELECT $1::pg_lsn >= $2::pg_lsn AS beyond", {
        values: [await confirmed(), end!.lsn],
      });
      return row!.beyond;
    });
    await resource.destroy();
  });

  it("report the old transactions that delay their creation: session, start, and statement to end them", async () => {
    const database = await lab.database(table);
    const old = await lab.source.connect(database);
    const resource = new Resource();
    try {
      await old.query("SET application_name = 'nightly report'");
      await old.query("BEGIN; INSERT INTO t VALUES (-1); PREPARE TRANSACTION 'half done'");
      await old.query("BEGIN; INSERT INTO t VALUES (-2)");
      const [session] = (await old.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows;
      await resource.create(lab.onlineInputs([database], { waitFor: "started" }));
      const remedies: readonly (readonly [RegExp, () => Promise<unknown>])[] = [
        [
          new RegExp(
            `session ${session!.pid} of postgres \\(nightly report, idle in transaction\\).*pg_terminate_backend\\(${session!.pid}\\)`,
          ),
          () => old.query("ROLLBACK"),
        ],
        [
          /prepared transaction half done of postgres, open since .*ROLLBACK PREPARED 'half done'/,
          () => old.query("ROLLBACK PREPARED 'half done'"),
        ],
      ];
      const open = [...remedies];
      while (open.length > 0) {
        // The server decides which of the two it waits for first.
        let next = -1;
        await until("a finding names the transaction", async () => {
          const text = findingLines(await resource.refresh());
          next = open.findIndex(([pattern]) => pattern.test(text));
          return next >= 0;
        });
        await open.splice(next, 1)[0]![1]();
      }
    } finally {
      await old.end();
    }
    assert.equal((await resource.update({ waitFor: undefined })).state, "WaitingForUserAction");
    await resource.destroy();
  });

  it("are read again before the state is WaitingForCutoverTrigger: a successor waits for the source first", async () => {
    const database = await lab.database(table);
    const resource = new Resource();
    const { worker } = await resource.create(lab.onlineInputs([database]));
    process.kill(worker.pid!, "SIGKILL");
    await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
    await lab.source.halt();
    const starting = await startStartingServer(lab.source.port);
    let update: Promise<unknown> | undefined;
    try {
      update = resource.update({ reconnectFor: 120 });
      const observer = new Resource();
      [observer.id, observer.outputs] = [resource.id, { ...resource.outputs }];
      await until("a successor is running", async () => (await observer.refresh()).worker.state === "running");
      for (const attempts of [1, 2, 3, 4]) {
        await starting.untilAsked(attempts);
        const { currentSubState } = (await observer.refresh()).currentSubStateDetails;
        assert.notEqual(currentSubState, "WaitingForCutoverTrigger");
      }
    } finally {
      await starting.stop();
      await lab.source.resume();
      await update;
    }
    assert.equal(resource.status.currentSubStateDetails.currentSubState, "WaitingForCutoverTrigger");
    await resource.destroy();
  });
});
