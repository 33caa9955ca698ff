import assert from "node:assert/strict";
import type pg from "pg";
import type { Applier, Batch } from "../../../provider/src/cdc/apply/applier";
import type { Change, Relation, Tuple } from "../../../provider/src/cdc/model/change";
import type { BatchSegment } from "../../../provider/src/cdc/batch/transaction-buffer";
import { initProgress, readProgress } from "../../../provider/src/cdc/target/progress";
import { openTargetSession } from "../../../provider/src/cdc/target/target-session";
import { EngineError } from "../../../provider/src/errors";
import { streamOf } from "../../../provider/src/postgres/connection/session";
import { EmbeddedServer } from "../../support/servers/embedded-server";
import { endpointOf } from "../scene";
import { openApplier } from "./open-applier";

describe("Applier", () => {
  let server: EmbeddedServer;
  let session: pg.Client;
  let applier: Applier;

  before(async () => {
    server = await EmbeddedServer.start({ major: 17 });
  });
  after(() => server.stop());

  beforeEach(async () => {
    session = await openTargetSession(endpointOf(server.login), "postgres");
    await session.query("CREATE TABLE public.t (id int PRIMARY KEY, v text)");
    const identity = { slot: "s", consistentPoint: 1n, systemIdentifier: "1", timeline: 1 };
    await initProgress(session, "m", 1, identity);
    applier = await openApplier(session);
  });
  afterEach(async () => {
    await session.end();
    await server.query("DROP TABLE t; DROP SCHEMA pgmigration CASCADE");
  });

  const relation: Relation = {
    ...{ oid: 1, schema: "public", name: "t", replicaIdentity: "d", publishesGeneratedColumns: false },
    columns: [
      { name: "id", key: true, typeOid: 23, typeModifier: -1 },
      { name: "v", key: false, typeOid: 25, typeModifier: -1 },
    ],
  };
  const rowOf = (id: number, value: string): Tuple => {
    const bytes = Buffer.from(`${id}${value}`);
    const middle = String(id).length;
    return { bytes, bounds: [0, middle, middle, bytes.length], at: 0, fields: 2, base: undefined };
  };
  let lsn = 10n;
  const transaction = (changes: readonly Change[]): BatchSegment[] => {
    lsn += 10n;
    const of = { xid: Number(lsn), commitLsn: lsn - 1n, commitTimeMs: 0 };
    return [{ transaction: of, first: true, changes, bytes: 0, end: { lsn, commitTimeMs: 0 } }];
  };
  const insert = (row: Tuple): Change => ({ kind: "insert", relation, row });
  const update = (row: Tuple): Change => ({ kind: "update", relation, row, old: undefined });

  it("applies a batch even if the next one cannot be built, and reports the error with the next one", async () => {
    await applier.apply({ segments: transaction([insert(rowOf(1, "one"))]) });
    const current = applier.apply(applier.prepare(transaction([insert(rowOf(2, "two"))])));
    const lacksField: Tuple = { ...rowOf(3, ""), bounds: [0, 1, -2, -2] };
    const next = applier.prepare(transaction([insert(lacksField)]));
    await current;
    assert.deepEqual(await server.query("SELECT id FROM t ORDER BY 1"), [{ id: 1 }, { id: 2 }]);
    await assert.rejects(applier.apply(next), EngineError);
  });

  it("truncates only staging tables with many rows, for batches built in advance or not", async () => {
    await session.query("CREATE TABLE public.other (id int PRIMARY KEY, v text, w text)");
    const other: Relation = {
      ...relation,
      name: "other",
      columns: [...relation.columns, { ...relation.columns[1]!, name: "w" }],
    };
    const rows = Array.from({ length: 700 }, (_, id) => rowOf(id, "v"));
    const withNull = ({ bytes, bounds }: Tuple): Tuple => ({
      bytes,
      bounds: [...(bounds as number[]), -1, -1],
      at: 0,
      fields: 3,
      base: undefined,
    });
    const otherRows = rows.slice(0, 100).map(withNull);
    await applier.apply({
      segments: transaction([
        ...rows.map(insert),
        ...otherRows.map((row): Change => ({ kind: "insert", relation: other, row })),
      ]),
    });
    await applier.apply({
      segments: transaction(otherRows.map((row): Change => ({ kind: "update", relation: other, row, old: undefined }))),
    });
    const staged = async (): Promise<number[]> => {
      const { rows: tables } = await session.query<{ name: string }>(
        "SELECT oid::regclass::text AS name FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r' ORDER BY relname",
      );
      const counts = await Promise.all(
        tables.map(({ name }) => session.query<{ rows: number }>(`SELECT count(*)::int AS rows FROM ${name}`)),
      );
      return counts.map(({ rows: [counted] }) => counted!.rows);
    };
    assert.deepEqual(await staged(), [100]);
    const seen: number[] = [];
    for (let batch = 0; batch < 5; batch++) {
      const segments = transaction(rows.map(update));
      await applier.apply(batch < 3 ? { segments } : applier.prepare(segments));
      const [rowsOfTable, rowsOfOther] = await staged();
      assert.equal(rowsOfOther, 100);
      seen.push(rowsOfTable!);
    }
    assert.deepEqual(seen, [700, 0, 700, 0, 700]);
    await session.query("DROP TABLE public.other");
  });

  it("sends COMMIT together with a batch that follows immediately", async () => {
    const isFollowed = (): boolean => true;
    await applier.apply({ segments: transaction([insert(rowOf(1, "one"))]) }, isFollowed);
    assert.deepEqual(await server.query("SELECT id FROM t"), []);
    const first = lsn;
    assert.ok(applier.appliedThroughLsn < first && applier.inTransaction);
    await applier.apply(applier.prepare(transaction([insert(rowOf(2, "two"))])), isFollowed);
    assert.deepEqual(await server.query("SELECT id FROM t"), [{ id: 1 }]);
    assert.equal(applier.appliedThroughLsn, first);
    await applier.commit();
    assert.deepEqual(await server.query("SELECT id FROM t ORDER BY 1"), [{ id: 1 }, { id: 2 }]);
    assert.ok(applier.appliedThroughLsn === lsn && !applier.inTransaction);
  });

  describe("with a batch that is staged while the target executes the previous one", () => {
    const ids = Array.from({ length: 20 }, (_, id) => id);
    const updates = (valueOf: (id: number) => string, of = ids): BatchSegment[] =>
      transaction(of.map((id) => update(rowOf(id, valueOf(id)))));
    const all = (value: string): Batch => applier.prepare(updates(() => value));
    const isFollowed = (): boolean => true;
    const seen = (): Promise<unknown[]> => server.query("SELECT v, count(*)::int AS rows FROM t GROUP BY v");
    const stagedRows = async (): Promise<number | null> =>
      (await session.query("SELECT FROM pg_temp.pg_migration_1")).rowCount;
    let obstacle: pg.Client;

    /** Sends a batch and stages the next one, while a lock delays the target's answer. */
    const apply = async (current: Batch, next: Batch): Promise<void> => {
      await obstacle.query("BEGIN; LOCK TABLE t IN SHARE MODE");
      const applied = applier.apply(current, isFollowed);
      const { bytesWritten } = streamOf(session);
      applier.stageAhead(next);
      assert(streamOf(session).bytesWritten > bytesWritten, "the next batch was not sent");
      await obstacle.query("ROLLBACK");
      await applied;
    };

    beforeEach(async () => {
      await applier.apply({ segments: transaction(ids.map((id) => insert(rowOf(id, "new")))) });
      await applier.apply({ segments: updates(() => "before") });
      obstacle = await server.connect();
    });
    afterEach(() => obstacle.end());

    it("commits the previous batch, and does not send the staged rows again", async () => {
      const next = all("two");
      await apply(all("one"), next);
      assert.deepEqual(await seen(), [{ v: "before", rows: 20 }]);
      await applier.apply(next, isFollowed);
      assert.deepEqual(await seen(), [{ v: "one", rows: 20 }]);
      await applier.commit();
      assert.deepEqual(await seen(), [{ v: "two", rows: 20 }]);
      assert.equal(await stagedRows(), 3 * 20);
    });

    it("applies the staged batch after a COMMIT, and applies another batch instead of a staged one", async () => {
      const later = all("two");
      await apply(all("one"), later);
      await applier.commit();
      assert.deepEqual(await seen(), [{ v: "one", rows: 20 }]);
      await apply(later, all("three"));
      await applier.apply(all("four"));
      assert.deepEqual(await seen(), [{ v: "four", rows: 20 }]);
      assert.equal(await stagedRows(), 4 * 20);
    });

    it("continues a transaction whose rest is the staged batch", async () => {
      const [segment] = updates(() => "first");
      const [rest] = updates(() => "rest");
      const next = applier.prepare([{ ...rest!, transaction: segment!.transaction, first: false }]);
      await apply(applier.prepare([{ ...segment!, end: undefined }]), next);
      await applier.apply(next);
      assert.deepEqual(await seen(), [{ v: "rest", rows: 20 }]);
      assert.equal(applier.counts.updates, 3 * 20);
    });

    it("commits the previous batch if the next one cannot be staged, and reports the error with the next one", async () => {
      const next = applier.prepare(updates(() => "two", [...ids, 99_999_999_999]));
      const through = lsn + 10n;
      await apply(all("one"), next);
      await assert.rejects(applier.apply(next), { code: "22003" });
      assert.deepEqual(await seen(), [{ v: "one", rows: 20 }]);
      assert.equal(applier.appliedThroughLsn, through);
    });

    it("reports the error of the savepoint before the staged batch when it has to roll back to it", async () => {
      const { connection } = session as unknown as { connection: { parse: (statement: { text: string }) => void } };
      const parse = connection.parse.bind(connection);
      // Simulates a cancel request that reaches exactly this statement.
      connection.parse = (statement) =>
        parse(statement.text === "SAVEPOINT ahead" ? { ...statement, text: "SELECT 1 / 0" } : statement);
      const next = all("two");
      await apply(all("one"), next);
      await assert.rejects(applier.apply(next), { code: "22012" });
      assert.deepEqual(await seen(), [{ v: "before", rows: 20 }]);
      await session.query("ROLLBACK");
    });

    it("continues a transaction whose rest cannot be staged and then contains an unknown table", async () => {
      await session.query("CREATE TABLE public.other (id int, v text)");
      const [segment] = updates(() => "first");
      const [rest] = updates(() => "rest", [...ids, 99_999_999_999]).map((one) => ({
        ...one,
        ...{ transaction: segment!.transaction, first: false },
      }));
      await apply(applier.prepare([{ ...segment!, end: undefined }]), applier.prepare([rest!]));
      const changes: Change[] = [{ kind: "insert", relation: { ...relation, name: "other" }, row: rowOf(1, "one") }];
      await applier.apply({ segments: [{ ...rest!, changes }] });
      assert.deepEqual(await seen(), [{ v: "first", rows: 20 }]);
      assert.deepEqual(await server.query("SELECT * FROM other"), [{ id: 1, v: "one" }]);
      await session.query("DROP TABLE public.other");
    });

    it("applies both batches if the target refuses their coalesced changes", async () => {
      const moved = (by: number): Batch => applier.prepare(updates((id) => `v${(id + by) % 20}`));
      await applier.apply(moved(0));
      await server.query("CREATE UNIQUE INDEX ON t (v)");
      const next = moved(2);
      await apply(moved(1), next);
      await applier.apply(next);
      const wrong = await server.query("SELECT FROM t WHERE v <> 'v' || (id + 2) % 20");
      assert.equal(wrong.length, 0);
    });
  });

  it("skips no batch when the COMMIT that is sent with the next one fails", async () => {
    const checking = await openTargetSession(endpointOf(server.login), "postgres", { triggersDisabled: true });
    await checking.query("ALTER TABLE public.t ADD UNIQUE (v) DEFERRABLE INITIALLY DEFERRED");
    const done: BatchSegment[] = [];
    applier = await openApplier(checking, { onDone: (segments) => done.push(...segments) });
    const good = transaction([insert(rowOf(1, "one"))]);
    const throughGood = lsn;
    const refused = transaction([insert(rowOf(2, "one"))]);
    await applier.apply({ segments: [...good, ...refused] }, () => true);
    const next = applier.prepare(transaction([insert(rowOf(3, "three"))]));
    await assert.rejects(applier.apply(next), { code: "23505" });
    assert.deepEqual(await server.query("SELECT id FROM t"), [{ id: 1 }]);
    assert.equal((await readProgress(session, "m"))!.appliedThroughLsn, throughGood);
    assert.deepEqual(done, good);
    await checking.end();
  });

  it("does not compare each row of a table without a key with each staged row", async () => {
    await session.query("ALTER TABLE public.t DROP CONSTRAINT t_pkey; ALTER TABLE public.t REPLICA IDENTITY FULL");
    const wholeRow: Relation = { ...relation, replicaIdentity: "f" };
    const rows = Array.from({ length: 300 }, (_, id) => rowOf(id, "v"));
    await applier.apply({ segments: transaction(rows.map((row) => ({ kind: "insert", relation: wholeRow, row }))) });
    const plans: string[] = [];
    session.on("notice", ({ message }) => /^duration/.test(message ?? "") && plans.push(message!));
    await session.query(`LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_level = notice;
                         SET auto_explain.log_nested_statements = off; SET client_min_messages = notice`);
    // More executions than custom plans: from the sixth on, PostgreSQL may use a generic plan.
    for (let batch = 0; batch < 8; batch++) {
      const deleted = rows.slice(30 * batch, 30 * (batch + 1));
      await applier.apply({
        segments: transaction(deleted.map((old) => ({ kind: "delete", relation: wholeRow, old }))),
      });
    }
    assert.equal((await server.query("SELECT FROM t")).length, 60);
    const deletes = plans.filter((plan) => plan.includes("Query Text: WITH wanted"));
    assert.equal(deletes.length, 8);
    for (const plan of deletes) assert.doesNotMatch(plan, /Join Filter: \(?\(?\(?ROW/);
  });

  it("looks up rows without a key by an index, and compares their complete content", async () => {
    await session.query(`ALTER TABLE public.t DROP CONSTRAINT t_pkey; ALTER TABLE public.t ALTER id DROP NOT NULL;
                         ALTER TABLE public.t REPLICA IDENTITY FULL; CREATE INDEX ON public.t (id);
                         INSERT INTO public.t SELECT i % 500, i::text FROM generate_series(0, 999) AS i;
                         INSERT INTO public.t VALUES (7, '7'), (NULL, 'nothing'), (NULL, 'nothing'); ANALYZE public.t`);
    const wholeRow: Relation = { ...relation, replicaIdentity: "f" };
    const withoutId: Tuple = { ...rowOf(8, "nothing"), bounds: [-1, -1, 1, 8] };
    const rows = [rowOf(7, "7"), rowOf(7, "507"), rowOf(8, "8"), withoutId];
    const plans: string[] = [];
    session.on("notice", ({ message }) => /^duration/.test(message ?? "") && plans.push(message!));
    await session.query(`LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_level = notice;
                         SET auto_explain.log_nested_statements = off; SET client_min_messages = notice`);
    const remove = (deleted: readonly Tuple[]): Promise<void> =>
      applier.apply({ segments: transaction(deleted.map((old) => ({ kind: "delete", relation: wholeRow, old }))) });
    await remove(rows);
    const left = await server.query("SELECT id, v FROM t WHERE id IN (7, 8) OR id IS NULL ORDER BY id, v");
    assert.deepEqual(left, [
      ...[
        { id: 7, v: "7" },
        { id: 8, v: "508" },
      ],
      { id: null, v: "nothing" },
    ]);
    const few = plans.filter((plan) => plan.includes("Query Text: WITH that"));
    assert.equal(few.length, 4);
    assert.equal(few.filter((plan) => /Index Cond: \(id = /.test(plan)).length, 3);
    assert.match(
      few.find((plan) => !plan.includes("Index Cond"))!,
      /Seq Scan on t x/,
      "a row with a NULL in the index is not looked up",
    );
    await remove(Array.from({ length: 40 }, (_, place) => rowOf(100 + place, String(100 + place))));
    assert.equal((await server.query("SELECT FROM t")).length, 1003 - 44);
    const many = plans.filter((plan) => plan.includes("Query Text: WITH wanted"));
    assert.equal(many.length, 1);
    assert.match(many[0]!, /Index Cond: \(id = /);
  });

  it("counts the changes of a completely applied transaction as uncommitted until its COMMIT", async () => {
    await applier.apply({ segments: transaction([insert(rowOf(1, "one")), insert(rowOf(2, "two"))]) }, () => true);
    assert.equal(applier.uncommittedChanges, 2);
    await applier.commit();
    assert.equal(applier.uncommittedChanges, 0);
  });

  it("does not retry in the source's order after a feature_not_supported error of a trigger", async () => {
    await session.query(`CREATE FUNCTION public.lack() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE feature_not_supported; END $$;
      CREATE TRIGGER lack BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.lack();
      ALTER TABLE public.t ENABLE ALWAYS TRIGGER lack`);
    await assert.rejects(applier.apply({ segments: transaction([insert(rowOf(1, "one"))]) }), { code: "0A000" });
    await session.query("ROLLBACK; DROP FUNCTION public.lack CASCADE");
  });
});
