import assert from "node:assert/strict";
import type pg from "pg";
import { Applier, type Batch } from "../../../provider/src/cdc/apply/applier";
import type { Change, Relation, Tuple } from "../../../provider/src/cdc/model/change";
import type { BatchSegment } from "../../../provider/src/cdc/batch/transaction-buffer";
import { initProgress, readProgress } from "../../../provider/src/cdc/target/progress";
import { openTargetSession } from "../../../provider/src/cdc/target/target-session";
import { EngineError } from "../../../provider/src/errors";
import { streamOf } from "../../../provider/src/postgres/connection/session";
import { EmbeddedServer } from "../../support/servers/embedded-server";
import { endpointOf } from "../scene";

describe("an applier", () => {
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
    const progress = (await readProgress(session, "m"))!;
    const onOrderedBatch = (reason: string): void => assert.fail(reason);
    applier = new Applier(session, { migration: "m", generation: 1, progress, form: "text", onOrderedBatch });
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

  it("brings the batch in hand home although the next one cannot be built, which then says why", async () => {
    await applier.apply({ segments: transaction([insert(rowOf(1, "one"))]) });
    const inHand = applier.apply(applier.prepare(transaction([insert(rowOf(2, "two"))])));
    const lacksField: Tuple = { ...rowOf(3, ""), bounds: [0, 1, -2, -2] };
    const next = applier.prepare(transaction([insert(lacksField)]));
    await inHand;
    assert.deepEqual(await server.query("SELECT id FROM t ORDER BY 1"), [{ id: 1 }, { id: 2 }]);
    await assert.rejects(applier.apply(next), EngineError);
  });

  it("lets a number of rows gather in a staging table, whoever built the batches, and leaves the others alone", async () => {
    await session.query("CREATE TABLE public.beside (id int PRIMARY KEY, v text, w text)");
    const beside: Relation = {
      ...relation,
      name: "beside",
      columns: [...relation.columns, { ...relation.columns[1]!, name: "w" }],
    };
    const rows = Array.from({ length: 700 }, (_, id) => rowOf(id, "v"));
    const whole = ({ bytes, bounds }: Tuple): Tuple => ({
      bytes,
      bounds: [...(bounds as number[]), -1, -1],
      at: 0,
      fields: 3,
      base: undefined,
    });
    const besideRows = rows.slice(0, 100).map(whole);
    await applier.apply({
      segments: transaction([
        ...rows.map(insert),
        ...besideRows.map((row): Change => ({ kind: "insert", relation: beside, row })),
      ]),
    });
    await applier.apply({
      segments: transaction(
        besideRows.map((row): Change => ({ kind: "update", relation: beside, row, old: undefined })),
      ),
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
      const [ofIt, ofOther] = await staged();
      assert.equal(ofOther, 100);
      seen.push(ofIt!);
    }
    assert.deepEqual(seen, [700, 0, 700, 0, 700]);
    await session.query("DROP TABLE public.beside");
  });

  it("sends COMMIT in front of a batch that follows at once", async () => {
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

  describe("with a batch to stage behind the one that the target is at work on", () => {
    const ids = Array.from({ length: 20 }, (_, id) => id);
    const updates = (valueOf: (id: number) => string, of = ids): BatchSegment[] =>
      transaction(of.map((id) => update(rowOf(id, valueOf(id)))));
    const all = (value: string): Batch => applier.prepare(updates(() => value));
    const isFollowed = (): boolean => true;
    const seen = (): Promise<unknown[]> => server.query("SELECT v, count(*)::int AS rows FROM t GROUP BY v");
    const stagedRows = async (): Promise<number | null> =>
      (await session.query("SELECT FROM pg_temp.pg_migration_1")).rowCount;
    let obstacle: pg.Client;

    /** Sends a batch and has the other one staged while a lock keeps the target from answering. */
    const apply = async (inHand: Batch, next: Batch): Promise<void> => {
      await obstacle.query("BEGIN; LOCK TABLE t IN SHARE MODE");
      const applied = applier.apply(inHand, isFollowed);
      const { bytesWritten } = streamOf(session);
      applier.stageAhead(next);
      assert(streamOf(session).bytesWritten > bytesWritten, "it is not sent");
      await obstacle.query("ROLLBACK");
      await applied;
    };

    beforeEach(async () => {
      await applier.apply({ segments: transaction(ids.map((id) => insert(rowOf(id, "new")))) });
      await applier.apply({ segments: updates(() => "before") });
      obstacle = await server.connect();
    });
    afterEach(() => obstacle.end());

    it("commits what the target has answered, and sends nothing of the other one twice", async () => {
      const next = all("two");
      await apply(all("one"), next);
      assert.deepEqual(await seen(), [{ v: "before", rows: 20 }]);
      await applier.apply(next, isFollowed);
      assert.deepEqual(await seen(), [{ v: "one", rows: 20 }]);
      await applier.commit();
      assert.deepEqual(await seen(), [{ v: "two", rows: 20 }]);
      assert.equal(await stagedRows(), 3 * 20);
    });

    it("applies the other one later, and a third one in its place", async () => {
      const later = all("two");
      await apply(all("one"), later);
      await applier.commit();
      assert.deepEqual(await seen(), [{ v: "one", rows: 20 }]);
      await apply(later, all("three"));
      await applier.apply(all("four"));
      assert.deepEqual(await seen(), [{ v: "four", rows: 20 }]);
      assert.equal(await stagedRows(), 4 * 20);
    });

    it("goes on with a transaction of which the other one is the rest", async () => {
      const [segment] = updates(() => "first");
      const [rest] = updates(() => "rest");
      const next = applier.prepare([{ ...rest!, transaction: segment!.transaction, first: false }]);
      await apply(applier.prepare([{ ...segment!, end: undefined }]), next);
      await applier.apply(next);
      assert.deepEqual(await seen(), [{ v: "rest", rows: 20 }]);
      assert.equal(applier.counts.updates, 3 * 20);
    });

    it("commits the one at work although the other cannot be staged, which then says why", async () => {
      const next = applier.prepare(updates(() => "two", [...ids, 99_999_999_999]));
      const through = lsn + 10n;
      await apply(all("one"), next);
      await assert.rejects(applier.apply(next), { code: "22003" });
      assert.deepEqual(await seen(), [{ v: "one", rows: 20 }]);
      assert.equal(applier.appliedThroughLsn, through);
    });

    it("says what the savepoint in front of the other one failed by, once it has to go back there", async () => {
      const { connection } = session as unknown as { connection: { parse: (statement: { text: string }) => void } };
      const parse = connection.parse.bind(connection);
      // As where whoever cancels a statement meets just that one.
      connection.parse = (statement) =>
        parse(statement.text === "SAVEPOINT ahead" ? { ...statement, text: "SELECT 1 / 0" } : statement);
      const next = all("two");
      await apply(all("one"), next);
      await assert.rejects(applier.apply(next), { code: "22012" });
      assert.deepEqual(await seen(), [{ v: "before", rows: 20 }]);
      await session.query("ROLLBACK");
    });

    it("goes on where the other one, which cannot be staged, comes with a table that is not known yet", async () => {
      await session.query("CREATE TABLE public.beside (id int, v text)");
      const [segment] = updates(() => "first");
      const [rest] = updates(() => "rest", [...ids, 99_999_999_999]).map((one) => ({
        ...one,
        ...{ transaction: segment!.transaction, first: false },
      }));
      await apply(applier.prepare([{ ...segment!, end: undefined }]), applier.prepare([rest!]));
      const changes: Change[] = [{ kind: "insert", relation: { ...relation, name: "beside" }, row: rowOf(1, "one") }];
      await applier.apply({ segments: [{ ...rest!, changes }] });
      assert.deepEqual(await seen(), [{ v: "first", rows: 20 }]);
      assert.deepEqual(await server.query("SELECT * FROM beside"), [{ id: 1, v: "one" }]);
      await session.query("DROP TABLE public.beside");
    });

    it("brings both home where the target refuses them as they were built", async () => {
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

  it("leaves no batch out when the COMMIT in front of the next one fails", async () => {
    const checking = await openTargetSession(endpointOf(server.login), "postgres", { triggersDisabled: true });
    await checking.query("ALTER TABLE public.t ADD UNIQUE (v) DEFERRABLE INITIALLY DEFERRED");
    const progress = (await readProgress(checking, "m"))!;
    const done: BatchSegment[] = [];
    applier = new Applier(checking, {
      ...{
        migration: "m",
        generation: 1,
        progress,
        form: "text",
        onOrderedBatch: (reason: string) => assert.fail(reason),
      },
      onDone: (segments) => done.push(...segments),
    });
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

  it("compares no row of a table without key with every staged one", async () => {
    await session.query("ALTER TABLE public.t DROP CONSTRAINT t_pkey; ALTER TABLE public.t REPLICA IDENTITY FULL");
    const wholeRow: Relation = { ...relation, replicaIdentity: "f" };
    const rows = Array.from({ length: 300 }, (_, id) => rowOf(id, "v"));
    await applier.apply({ segments: transaction(rows.map((row) => ({ kind: "insert", relation: wholeRow, row }))) });
    const plans: string[] = [];
    session.on("notice", ({ message }) => /^duration/.test(message ?? "") && plans.push(message!));
    await session.query(`LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_level = notice;
                         SET auto_explain.log_nested_statements = off; SET client_min_messages = notice`);
    // More often than a prepared statement is planned anew.
    for (let batch = 0; batch < 8; batch++) {
      const gone = rows.slice(30 * batch, 30 * (batch + 1));
      await applier.apply({ segments: transaction(gone.map((old) => ({ kind: "delete", relation: wholeRow, old }))) });
    }
    assert.equal((await server.query("SELECT FROM t")).length, 60);
    const deletes = plans.filter((plan) => plan.includes("Query Text: WITH wanted"));
    assert.equal(deletes.length, 8);
    for (const plan of deletes) assert.doesNotMatch(plan, /Join Filter: \(?\(?\(?ROW/);
  });

  it("looks up rows without a key by an index, and compares them whole", async () => {
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
    const remove = (gone: readonly Tuple[]): Promise<void> =>
      applier.apply({ segments: transaction(gone.map((old) => ({ kind: "delete", relation: wholeRow, old }))) });
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
      "nothing is looked up by a NULL",
    );
    await remove(Array.from({ length: 40 }, (_, place) => rowOf(100 + place, String(100 + place))));
    assert.equal((await server.query("SELECT FROM t")).length, 1003 - 44);
    const many = plans.filter((plan) => plan.includes("Query Text: WITH wanted"));
    assert.equal(many.length, 1);
    assert.match(many[0]!, /Index Cond: \(id = /);
  });

  it("counts a transaction that the target has whole as taken until its COMMIT", async () => {
    await applier.apply({ segments: transaction([insert(rowOf(1, "one")), insert(rowOf(2, "two"))]) }, () => true);
    assert.equal(applier.uncommittedChanges, 2);
    await applier.commit();
    assert.equal(applier.uncommittedChanges, 0);
  });

  it("does not take a feature that the target lacks for a matter of order", async () => {
    await session.query(`CREATE FUNCTION public.lack() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE feature_not_supported; END $$;
      CREATE TRIGGER lack BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.lack();
      ALTER TABLE public.t ENABLE ALWAYS TRIGGER lack`);
    await assert.rejects(applier.apply({ segments: transaction([insert(rowOf(1, "one"))]) }), { code: "0A000" });
    await session.query("ROLLBACK; DROP FUNCTION public.lack CASCADE");
  });
});
