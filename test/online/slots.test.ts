import assert from "node:assert/strict";
import { changeCaptureNames } from "../../provider/src/cdc/model/names";
import { RefusedError } from "../../provider/src/errors";
import { SourceSlots } from "../../provider/src/worker/run/source-slots";
import type { Work } from "../../provider/src/worker/context/work";
import { findingLines } from "../support/findings";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

const table = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)";

describe("the source's replication slots", () => {
  let lab: Lab;

  before(async () => {
    // One slot for each of three databases, and one for comparisons.
    lab = await Lab.start({ source: { parameters: { max_replication_slots: 4, max_prepared_transactions: 2 } } });
  });
  after(() => lab.stop());

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

  it("are not waited for if the target reports another exceeded limit", async () => {
    const database = await lab.database(table);
    const work = {
      spec: { migrationName: "m", target: lab.administrator },
      source: { ...lab.source.login, sslMode: "Disable" },
    } as unknown as Work;
    const { slot } = changeCaptureNames(work.spec, database);
    const cause = Object.assign(new Error("temporary file size exceeds temp_file_limit"), { code: "53400" });
    const begun = new SourceSlots().begin(work, database, async () => {
      await lab.source.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", { database, values: [slot] });
      throw new RefusedError("INDEX public.i was refused by the target", { cause });
    });
    await assert.rejects(begun, /INDEX public\.i was refused/);
    await lab.source.query("SELECT pg_drop_replication_slot($1)", { values: [slot] });
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
});
