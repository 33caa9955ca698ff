import assert from "node:assert/strict";
import { readFenceRecord, putUpFence } from "../../provider/src/cutover/fence";
import type { Endpoint } from "../../provider/src/postgres/connection/endpoint";
import { removeFence } from "../../provider/src/worker/cleanup/database-fence";
import { assertSameContent, type Place } from "../support/content";
import type { Login } from "../support/servers/embedded-server";
import { InsistentWriters } from "../support/insistent-writers";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

const schema = `
  CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
  INSERT INTO t (v) VALUES ('first');
  CREATE MATERIALIZED VIEW m AS SELECT 1 AS one;
  GRANT ALL ON t TO PUBLIC`;

describe("the fence of a cutover", () => {
  let lab: Lab;
  let database: string;
  let resource: Resource;

  before(async () => {
    lab = await Lab.start({ source: { major: 16, parameters: { max_prepared_transactions: 2 } } });
    await lab.source.query(
      `CREATE ROLE clerk LOGIN PASSWORD 'clerk'; CREATE ROLE stubborn LOGIN PASSWORD 'stubborn';
       ALTER ROLE stubborn SET default_transaction_read_only = off;
       CREATE ROLE half LOGIN PASSWORD 'half'; CREATE ROLE migrator LOGIN REPLICATION PASSWORD 'migrator'`,
    );
  });
  after(() => lab.stop());

  beforeEach(async () => {
    database = await lab.database(schema);
    await lab.source.query(
      `ALTER DATABASE ${database} SET default_transaction_read_only = 'false';
       ALTER ROLE half IN DATABASE ${database} SET default_transaction_read_only = 'no'`,
    );
    resource = new Resource();
  });

  const login = (name: string): Partial<Login> => ({ user: name, password: name });
  const places = (): [Place, Place] => [
    { server: lab.source, database },
    { server: lab.target, database, login: lab.administrator },
  ];
  const inputs = (changes: Record<string, unknown> = {}): Record<string, unknown> =>
    lab.inputs([database], { migrationMode: "Online", fence: "readOnly", ...changes });

  const settings = (): Promise<Record<string, unknown>[]> =>
    lab.source.query(
      `SELECT r.rolname, s.setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
         LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE d.datname = '${database}' ORDER BY 1`,
    );
  const write = (name?: string): Promise<unknown> =>
    lab.source.query("INSERT INTO t (v) VALUES ('later')", { database, ...(name ? { login: login(name) } : {}) });
  const everybody = [undefined, "clerk", "stubborn", "half"];

  async function assertNobodyWrites(): Promise<void> {
    for (const name of everybody)
      await assert.rejects(write(name), { code: "25006" }, `${name ?? "the superuser"} must not write`);
  }

  /** Delays the cutover after its LSN, at the refresh of a materialized view, while `during` runs. */
  async function inTheMiddle(during: () => Promise<void>): Promise<void> {
    const obstacle = await lab.target.connect(database, lab.administrator);
    try {
      await obstacle.query("BEGIN; TABLE m");
      await resource.update({ triggerCutover: true, waitFor: "started" });
      await until("the cutover waits", async () => {
        const [row] = await lab.target.query<{ waiting: number }>(
          "SELECT count(*)::int AS waiting FROM pg_stat_activity WHERE query LIKE '%REFRESH%' AND wait_event_type = 'Lock'",
        );
        return row!.waiting > 0;
      });
      await during();
    } finally {
      await obstacle.end();
    }
  }

  async function killWorker(): Promise<void> {
    const { worker } = await resource.refresh();
    process.kill(worker.pid!, "SIGKILL");
    await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
  }

  it("blocks writers of every role, loses none of their writes, and stays until it is lifted", async () => {
    const before = await settings();
    await resource.create(inputs());
    const writers = new InsistentWriters(
      database,
      everybody.map((name) => ({ ...lab.source.login, ...(name ? login(name) : {}) })),
    );
    try {
      await until("the writers write", () => writers.acknowledged > 100);
      assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
      await assertNobodyWrites();
      await until("the writers get the read-only error", () => writers.ends.has("25006"));
    } finally {
      await writers.stop();
    }
    await assertSameContent(...places());
    const [rows] = await lab.source.query<{ count: number }>("SELECT count(*)::int FROM t", { database });
    assert.equal(rows!.count, writers.acknowledged + 1);
    assert(resource.status.cutoverTimeline.some(({ step }) => step === "put up the fence"));

    await resource.update({ fence: "none" });
    assert.deepEqual(await settings(), before);
    await write("clerk");
    await resource.destroy();
  });

  it("is removed when the cutover fails, and when the resource is destroyed", async () => {
    const before = await settings();
    await resource.create(inputs());
    const onTarget = (sql: string): Promise<unknown> => lab.target.query(sql, { database, login: lab.administrator });
    await onTarget("UPDATE t SET v = 'changed'");
    assert.match(await Resource.failure(resource.update({ triggerCutover: true })), /"public"\."t"/);
    assert.deepEqual(await settings(), before);
    await write("clerk");
    await onTarget("UPDATE t SET v = 'first' WHERE v = 'changed'");
    assert.equal((await resource.update({})).state, "Succeeded");
    await assertSameContent(...places());
    await assertNobodyWrites();
    await resource.destroy();
    assert.deepEqual(await settings(), before);
  });

  it("is not waited for forever when it cannot be lifted: the error shows how to lift it manually", async () => {
    const before = await settings();
    const source: Endpoint = { ...lab.source.login, sslMode: "Disable" };
    const fenced = { side: "source", database } as const;
    const session = await lab.source.connect(database);
    const obstacle = await lab.source.connect();
    try {
      const record = await readFenceRecord(session, "source");
      await putUpFence(session, fenced, record);
      await obstacle.query("BEGIN; LOCK TABLE pg_db_role_setting IN SHARE MODE");
      const text = await Resource.failure(removeFence(source, fenced, record, 0));
      assert.match(text, /stays read-only on the source .*lock timeout/);
      await obstacle.query("COMMIT");
      const [, byHand] = /To do: on the source: (.*)$/.exec(text)!;
      for (const statement of byHand!.split("; ")) await lab.source.query(statement);
    } finally {
      await Promise.all([session.end(), obstacle.end()]);
    }
    assert.deepEqual(await settings(), before);
    await write("clerk");
  });

  it("remains when its worker is killed, and is completed by the successor", async () => {
    await resource.create(inputs());
    await inTheMiddle(async () => {
      await killWorker();
      await assertNobodyWrites();
    });
    assert.equal((await resource.update({ waitFor: "succeeded" })).state, "Succeeded");
    await assertSameContent(...places());
    await assertNobodyWrites();
    await resource.destroy();
  });

  it("is removed by the successor when the cutover is withdrawn, by a cancellation, and by destroy", async () => {
    const before = await settings();
    const undone: readonly (() => Promise<unknown>)[] = [
      () => resource.update({ triggerCutover: false, waitFor: "cutoverReady" }),
      () => resource.update({ triggerCutover: false, cancel: true, waitFor: undefined }),
      () => resource.destroy(),
    ];
    for (const undo of undone) {
      database = await lab.database(schema);
      await resource.create(inputs());
      await inTheMiddle(killWorker);
      await undo();
      assert.deepEqual(await settings(), []);
      await write("stubborn");
      await resource.destroy();
    }
    assert.equal(before.length, 2);
  });

  it("cannot stop a session that overrides it: its writes are replicated and reported", async () => {
    await resource.create(inputs());
    await inTheMiddle(async () => {
      const free = await lab.source.connect(database, login("clerk"));
      try {
        await free.query("SET default_transaction_read_only = off");
        await free.query("INSERT INTO t (v) VALUES ('escaped')");
      } finally {
        await free.end();
      }
    });
    const status = await resource.update({ waitFor: "succeeded" });
    assert.equal(status.state, "Succeeded");
    await assertSameContent(...places());
    const messages = status.currentSubStateDetails.validationDetails!.dbLevelValidationDetails.flatMap(({ summary }) =>
      summary.flatMap((one) => one.messages.map(({ message }) => message)),
    );
    assert(messages.some((message) => /^1 changes were written on the source in spite of the fence/.test(message)));
    await resource.destroy();
  });

  it("waits for a prepared transaction, reports it, and replicates it", async () => {
    await resource.create(inputs());
    await lab.source.query("BEGIN; INSERT INTO t (v) VALUES ('prepared'); PREPARE TRANSACTION 'left alone'", {
      database,
    });
    const done = resource.update({ triggerCutover: true });
    done.catch(() => undefined);
    try {
      await until("the prepared transaction is reported", async () => {
        const said = await lab.target.query(
          "SELECT FROM pgmigration.finding WHERE message LIKE '%waits for the prepared transaction left alone%'",
        );
        return said.length > 0;
      });
    } finally {
      await lab.source.query("COMMIT PREPARED 'left alone'", { database });
    }
    assert.equal((await done).state, "Succeeded");
    await assertSameContent(...places());
    const prepared = "SELECT FROM t WHERE v = 'prepared'";
    assert.equal((await lab.target.query(prepared, { database })).length, 1);
    await resource.destroy();
  });

  it("is refused by the validation if the role lacks the privileges", async () => {
    await lab.source.query(`GRANT CREATE ON DATABASE ${database} TO migrator`);
    const source = { ...lab.source.login, ...login("migrator"), sslMode: "Prefer" };
    for (const migrationMode of ["Online", "Offline"]) {
      const text = await Resource.failure(resource.create(inputs({ source, migrationMode })));
      assert.match(text, /migrator does not own db_\w+ on the source/);
      assert.match(text, /GRANT pg_signal_backend TO "migrator"/);
      assert.match(text, /ALTER ROLE "stubborn" RESET default_transaction_read_only/);
      await resource.destroy();
    }
  });
});
