import assert from "node:assert/strict";
import type { Client } from "pg";
import { carrySequences } from "../../provider/src/copy/sequences";
import { RefusedError } from "../../provider/src/errors";
import { rememberVersion } from "../../provider/src/postgres/server-version";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { freshDatabase, withSessions } from "./pairs";

describe("sequences", () => {
  const shape = `
    CREATE SCHEMA "Other ""schema";
    CREATE SEQUENCE "Other ""schema"."Seq.1";
    CREATE SEQUENCE uncalled START 42;
    CREATE SEQUENCE moved START 42;
    CREATE SEQUENCE downwards INCREMENT -2 MAXVALUE -1 MINVALUE -100;
    CREATE SEQUENCE cached CACHE 20;
    CREATE SEQUENCE huge;
    CREATE SEQUENCE small AS smallint MAXVALUE 12;
    CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, s serial)`;
  const used = `
    SELECT nextval('"Other ""schema"."Seq.1"') FROM generate_series(1, 7);
    SELECT setval('moved', 77, false);
    SELECT nextval('downwards') FROM generate_series(1, 3);
    SELECT nextval('cached');
    SELECT setval('huge', 9223372036854775806);
    SELECT setval('small', 10);
    INSERT INTO t DEFAULT VALUES; INSERT INTO t DEFAULT VALUES`;
  let servers: EmbeddedServer[];

  before(async () => {
    servers = await Promise.all([EmbeddedServer.start({ major: 10 }), EmbeddedServer.start({ major: 18 })]);
  });
  after(() => Promise.all(servers.map((server) => server.stop())));

  const next = [
    ...['"Other ""schema"."Seq.1"', "public.uncalled", "public.moved", "public.downwards", "public.cached"],
    ...["public.huge", "public.small", "public.t_id_seq", "public.t_s_seq"],
  ];
  const nextValues = `SELECT ${next.map((name, i) => `nextval('${name}')::text AS n${i}`).join(", ")}`;

  it("return the same values on the target as they would on the source", async () => {
    const [source, target] = [servers[0]!, servers[1]!];
    const pair = [
      [source, await freshDatabase(source, shape, used)],
      [target, await freshDatabase(target, shape)],
    ] as const;
    await withSessions(...pair, async (from, into) => {
      assert.equal((await carrySequences(from, into)).length, next.length);
      assert.equal((await carrySequences(from, into)).length, next.length);
      const { rows } = await into.query<Record<string, string>>(nextValues);
      const values = ["8", "42", "77", "-7", "21", "9223372036854775807", "11", "3", "3"];
      assert.deepEqual(Object.values(rows[0]!), values);
      assert.deepEqual((await from.query(nextValues)).rows, rows);
    });
  });

  it("of a server before 10 are locked and listed in groups, because its lock table is limited", async () => {
    const [source, target] = [servers[0]!, servers[1]!];
    const many = "DO $$ BEGIN FOR i IN 1 .. 1200 LOOP EXECUTE 'CREATE SEQUENCE s' || i; END LOOP; END $$";
    const pair = [
      [source, await freshDatabase(source, many)],
      [target, await freshDatabase(target, many)],
    ] as const;
    await withSessions(...pair, async (from, into) => {
      // These columns are in each sequence before 10, and in the catalogue later.
      rememberVersion(from, 90624);
      const locked: number[] = [];
      const query = from.query.bind(from) as (...given: unknown[]) => Promise<unknown>;
      const asBefore10 = (sql: unknown, ...values: unknown[]): Promise<unknown> => {
        if (typeof sql !== "string") return query(sql, ...values);
        if (sql.startsWith("PREPARE")) locked.push(sql.split("ONLY").length - 1);
        return query(sql.replace(/increment_by|min_value|max_value/g, "1"), ...values);
      };
      Object.assign(from, { query: asBefore10 });
      assert.equal((await carrySequences(from, into)).length, 1200);
      assert.deepEqual(locked, [500, 500, 200, 500, 500, 200]);
    });
  });

  it("are advanced by a margin, up to their bounds, unless they were never used", async () => {
    const [source, target] = [servers[0]!, servers[1]!];
    const pair = [
      [source, await freshDatabase(source, shape, used)],
      [target, await freshDatabase(target, shape)],
    ] as const;
    await withSessions(...pair, async (from, into) => {
      const set = await carrySequences(from, into, { margin: 5, only: ({ name }) => name !== "moved" });
      assert.equal(set.length, next.length - 1);
      const last = "SELECT last_value::text AS last, is_called AS called FROM";
      const state = async (name: string): Promise<unknown[]> =>
        Object.values((await into.query<Record<string, unknown>>(`${last} ${name}`)).rows[0]!);
      assert.deepEqual(await state('"Other ""schema"."Seq.1"'), ["12", true]);
      assert.deepEqual(await state("public.uncalled"), ["42", false]);
      assert.deepEqual(await state("public.moved"), ["42", false]);
      assert.deepEqual(await state("public.downwards"), ["-15", true]);
      assert.deepEqual(await state("public.huge"), ["9223372036854775807", true]);
      assert.deepEqual(await state("public.small"), ["12", true]);
    });
  });

  it("that the target lacks are reported, and the others are set", async () => {
    const [source, target] = [servers[0]!, servers[1]!];
    const pair = [
      [source, await freshDatabase(source, shape, used)],
      [target, await freshDatabase(target, shape, "DROP SEQUENCE cached, huge")],
    ] as const;
    await withSessions(...pair, async (from, into) => {
      await assert.rejects(carrySequences(from, into), (error: Error) => {
        assert.ok(error instanceof RefusedError);
        assert.match(error.message, /lacks 2 sequences.*"public"\."cached", "public"\."huge"/);
        return true;
      });
      const { rows } = await into.query<{ n: string }>("SELECT nextval('public.small') AS n");
      assert.equal(rows[0]!.n, "11");
    });
  });

  it("are read in statements of several hundred", async () => {
    const many =
      "DO $$ BEGIN FOR i IN 1..3000 LOOP EXECUTE 'CREATE SEQUENCE s' || i || ' START ' || i; END LOOP; END $$";
    const [source, target] = [servers[0]!, servers[1]!];
    const pair = [
      [source, await freshDatabase(source, many)],
      [target, await freshDatabase(target, many.replace("' START ' || i", "''"))],
    ] as const;
    await withSessions(...pair, async (from, into) => {
      const [read, written] = [countStatements(from), countStatements(into)];
      assert.equal((await carrySequences(from, into)).length, 3000);
      assert.ok(read() + written() <= 40, `${read()} + ${written()} statements`);
      const { rows } = await into.query<{ n: string }>("SELECT nextval('public.s2999') AS n");
      assert.equal(rows[0]!.n, "2999");
    });
  });
});

/** Counts the statements of the session from now on. */
function countStatements(session: Client): () => number {
  const query = session.query.bind(session) as (...given: unknown[]) => unknown;
  let count = 0;
  session.query = ((...given: unknown[]) => {
    count++;
    return query(...given);
  }) as Client["query"];
  return () => count;
}
