import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tablesWithRows } from "../../provider/src/postgres/tables-with-rows";
import { connect } from "../../provider/src/postgres/connection/connect";
import { tablesUnsafeToPlan } from "../../provider/src/postgres/planner-functions";
import { readTrustedOwners } from "../../provider/src/postgres/trusted-owners";
import type { Client } from "pg";
import { changeCaptureNames } from "../../provider/src/cdc/model/names";
import { carrySequences } from "../../provider/src/copy/sequences";
import { listSizedTables } from "../../provider/src/postgres/tables";
import { createEntraRoles } from "../../provider/src/schema/database/entra-roles";
import { checkDatabase } from "../../provider/src/target-checks/check-database";
import type { ValidationContext } from "../../provider/src/validation/context";
import { recomputedColumns } from "../../provider/src/validation/objects/recomputed-columns";
import { Trials } from "../../provider/src/validation/objects/trial";
import { compareTables } from "../../provider/src/verify/compare-tables";
import { CommandLine } from "../cli/command";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { endpointOf, freshDatabase, open } from "../copy/pairs";
import { assertSameContent } from "../support/content";
import { assertFinding } from "../support/findings";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { until } from "../support/until";

/** Its functions run a program on the server, if they are called with a superuser's privileges. */
const hostile = (log: string): string => `
  CREATE FUNCTION harm(place text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    IF current_setting('is_superuser') = 'on' THEN EXECUTE format($q$COPY (SELECT %L) TO PROGRAM 'cat >> ${log}'$q$, place); END IF;
  END $$;
  CREATE FUNCTION evil(place text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.harm(place); RETURN true; END $$;
  CREATE TYPE mood AS ENUM ('good', 'bad');
  CREATE TYPE span AS RANGE (subtype = float8);
  CREATE FUNCTION cast_mood(mood) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.evil('cast'); RETURN 'x'; END $$;
  CREATE CAST (mood AS text) WITH FUNCTION cast_mood(mood);
  CREATE FUNCTION cast_span(span) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.evil('cast'); RETURN 'x'; END $$;
  CREATE CAST (span AS text) WITH FUNCTION cast_span(span);
  CREATE FUNCTION hash_array_extended(bytea[], int) RETURNS int8 LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.evil('hash'); RETURN 0; END $$;
  CREATE FUNCTION unnest(mood[]) RETURNS SETOF mood LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.evil('unnest'); RETURN; END $$;
  CREATE FUNCTION unnest(regclass[]) RETURNS SETOF regclass LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.evil('unnest'); RETURN; END $$;
  CREATE FUNCTION less(oid, int) RETURNS bool LANGUAGE sql IMMUTABLE AS $$ SELECT public.evil('operator') $$;
  CREATE OPERATOR < (LEFTARG = oid, RIGHTARG = int, FUNCTION = less);
  CREATE FUNCTION same(regclass, regclass) RETURNS bool LANGUAGE sql IMMUTABLE AS $$ SELECT public.evil('operator') $$;
  CREATE OPERATOR = (LEFTARG = regclass, RIGHTARG = regclass, FUNCTION = same);
  CREATE FUNCTION pg_relation_filenode(oid) RETURNS oid LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.evil('filenode'); RETURN pg_catalog.pg_relation_filenode($1::regclass); END $$;

  CREATE TABLE by_predicate (id int PRIMARY KEY, v text, f float8, f4 float4[]);
  CREATE INDEX ON by_predicate (v) WHERE evil('predicate');
  CREATE TABLE by_expression (id int PRIMARY KEY, v text, m mood, ms mood[], s span);
  CREATE INDEX ON by_expression ((v || evil('expression')::text));
  CREATE TABLE by_statistics (id int PRIMARY KEY, v text);
  CREATE STATISTICS by_statistics_v ON (evil('statistics') AND v > 'a'), id FROM by_statistics;
  CREATE TABLE by_check (id int PRIMARY KEY, v text, CHECK (evil('check') OR v IS NULL));
  CREATE TABLE by_policy (id int PRIMARY KEY, v text); ALTER TABLE by_policy ENABLE ROW LEVEL SECURITY;
  CREATE POLICY p ON by_policy USING (evil('policy'));
  CREATE TABLE by_type (m mood PRIMARY KEY, ms mood[], s span, r regclass, rs regclass[]);
  CREATE TABLE by_partition (id int, v text) PARTITION BY RANGE (id);
  CREATE TABLE by_partition_1 PARTITION OF by_partition FOR VALUES FROM (0) TO (1000);
  CREATE INDEX ON by_partition (v) WHERE evil('partition');
  CREATE FUNCTION one(place text) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT public.evil(place)::int $$;
  CREATE TABLE by_key (id int) PARTITION BY HASH ((id + one('partition key')));
  CREATE TABLE by_key_0 PARTITION OF by_key FOR VALUES WITH (MODULUS 1, REMAINDER 0);
  CREATE TABLE by_partition_check (id int PRIMARY KEY, v text);
  CREATE INDEX ON by_partition_check (v) WHERE satisfies_hash_partition('by_key'::regclass::oid, 1, 0, 1);
  CREATE MATERIALIZED VIEW by_partition_definition AS SELECT pg_get_partition_constraintdef('by_key_0'::regclass) AS d;
  CREATE VIEW by_view AS SELECT * FROM by_predicate WHERE evil('view');
  CREATE MATERIALIZED VIEW by_materialized_view AS SELECT id, v FROM by_predicate;
  CREATE TABLE harmless (id int PRIMARY KEY, v text);
  INSERT INTO by_predicate SELECT i, md5(i::text), i / 3.0, ARRAY[i / 7.0, NULL] FROM generate_series(1, 500) i;
  INSERT INTO by_expression SELECT i, E'\\t\\n\\\\' || i, 'good', '{good,NULL,bad}', '[0.1,0.3)' FROM generate_series(1, 300) i;
  INSERT INTO by_statistics SELECT i, md5(i::text) FROM generate_series(1, 300) i;
  INSERT INTO by_check SELECT * FROM by_statistics; INSERT INTO by_policy SELECT * FROM by_statistics;
  INSERT INTO by_partition_check SELECT * FROM by_statistics;
  INSERT INTO by_partition SELECT * FROM by_statistics; INSERT INTO harmless SELECT * FROM by_statistics;
  INSERT INTO by_type VALUES ('good', '{bad}', '[1,2)', 'harmless', '{harmless,by_type}');
  REFRESH MATERIALIZED VIEW by_materialized_view;`;

const definer = (name: string): string =>
  `CREATE FUNCTION public.${name}() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user::text'`;

const rollbackTrust = /rollback replication writes to the source as postgres\..*These roles own objects: "mallory"/;

describe("a table owner on the source who is hostile", () => {
  let lab: Lab;
  let command: CommandLine;
  let directory: string;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 }, target: { major: 17 } });
    command = await CommandLine.in(lab);
    directory = await mkdtemp(join(tmpdir(), "pg-migration-hostile-"));
    await chmod(directory, 0o777);
    await lab.source.query("CREATE ROLE mallory LOGIN PASSWORD 'mallory'");
    await lab.target.query("CREATE ROLE eve LOGIN PASSWORD 'eve'");
  });
  after(async () => {
    await lab.stop();
    await command.close();
    await rm(directory, { recursive: true });
  });

  async function hostileDatabase(): Promise<{ database: string; harm: () => Promise<string> }> {
    const database = await lab.database("GRANT CREATE ON SCHEMA public TO mallory");
    const log = join(directory, database);
    await writeFile(log, "");
    await chmod(log, 0o666);
    await lab.source.query(`SET SESSION AUTHORIZATION mallory; ${hostile(log)}`, { database });
    await lab.source.query(`ALTER DATABASE ${database} SET search_path = public`);
    await lab.source.query(`ALTER DATABASE ${database} SET constraint_exclusion = on`);
    return { database, harm: () => readFile(log, "utf8") };
  }

  it("is a threat: a query over the tables runs the functions", async () => {
    const { database, harm } = await hostileDatabase();
    await lab.source.query("SELECT count(*) FROM by_predicate", { database });
    assert.match(await harm(), /predicate/);
    const session = await connect(endpointOf(lab.source), { database, purpose: "test" });
    const unsafe = await tablesUnsafeToPlan(session).finally(() => session.end());
    assert.deepEqual([...unsafe].sort(), [
      '"public"."by_expression"',
      '"public"."by_partition_1"',
      '"public"."by_partition_check"',
      '"public"."by_predicate"',
      '"public"."by_statistics"',
    ]);
  });

  it("gets no code executed by an offline migration and its verification", async () => {
    const { database, harm } = await hostileDatabase();
    const resource = new Resource();
    try {
      await resource.create(lab.inputs([database], { splitTablesLargerThan: 8192, migrateRoles: true }));
      assert.equal(await harm(), "");
      assert.equal(resource.status.state, "Succeeded");
      const args = ["verify", "--name", resource.inputs.migrationName as string];
      for (const mode of ["content", "counts"]) {
        const { code, stderr } = await command.run([...args, "--mode", mode]);
        assert.equal(code, 0, stderr);
      }
      await lab.target.query(
        "UPDATE by_predicate SET f = f + 1 WHERE id = 7; DELETE FROM by_expression WHERE id = 9; UPDATE by_type SET m = 'bad'",
        lab.onTarget(database),
      );
      const { code, stderr } = await command.run(args);
      assert.notEqual(code, 0);
      assert.match(stderr, /by_predicate.*different \(id = 7\)/);
      assert.match(stderr, /by_expression.*missing \(id = 9\)/);
      assert.match(stderr, /by_type.*missing \(m = good\), unexpected \(m = bad\)|by_type.*m = bad/);
      assert.equal(await harm(), "");
    } finally {
      await resource.destroy();
    }
  });

  it("is named by the validation if changes of the target are to be applied to the source", async () => {
    const { database } = await hostileDatabase();
    const resource = new Resource();
    const inputs = { migrationMode: "Online", migrationOption: "Validate", rollback: "keep" };
    await resource.create(lab.inputs([database], inputs)).catch(() => undefined);
    assertFinding(resource.status, rollbackTrust);
    await resource.destroy();
  });

  it("gets no code executed by an online migration, a joining table, verification, cutover and return", async () => {
    const { database, harm } = await hostileDatabase();
    await lab.source.query(
      `${definer("only_some")}; REVOKE ALL ON FUNCTION only_some() FROM PUBLIC; SET SESSION AUTHORIZATION mallory; ${definer("early")}`,
      { database },
    );
    const resource = new Resource();
    try {
      await resource.create(lab.inputs([database], { migrationMode: "Online", migrateRoles: true }));
      // Every role of the target may call the functions.
      const eve = { database, login: { user: "eve", password: "eve" } };
      const userOf = async (name: string): Promise<unknown> =>
        (await lab.target.query(`SELECT ${name}() AS user`, eve))[0]!.user;
      assert.deepEqual([await userOf("early"), await userOf("only_some")], ["eve", "eve"]);
      await lab.source.query(
        `SET SESSION AUTHORIZATION mallory; INSERT INTO harmless VALUES (1000, 'later'); INSERT INTO by_predicate VALUES (1000); ${definer("late")}`,
        { database },
      );
      await lab.source.query(
        "SET SESSION AUTHORIZATION mallory; CREATE TABLE joining AS SELECT * FROM by_predicate; ALTER TABLE joining ADD PRIMARY KEY (id); CREATE INDEX ON joining (v) WHERE evil('joining')",
        { database },
      );
      await until("the new table has joined the stream", async () => {
        const [found] = await lab.queryTarget(database, "SELECT to_regclass('joining') IS NOT NULL AS present");
        if (!found!.present) return false;
        return (await lab.queryTarget(database, "SELECT FROM joining")).length === 501;
      });
      await resource.update({ verifyNow: "once" });
      assert.equal(await harm(), "");
      await until("the new function is on the target", async () => {
        const [found] = await lab.queryTarget(database, "SELECT to_regproc('late') IS NOT NULL AS present");
        return found!.present as boolean;
      });
      assert.equal(await userOf("late"), "eve");
      await resource.update({ triggerCutover: true, rollback: "keep" });
      assert.deepEqual([await userOf("early"), await userOf("late")], ["mallory", "mallory"]);
      await assert.rejects(userOf("only_some"), /permission denied/);
      assertFinding(resource.status, rollbackTrust);
      assert.equal(resource.status.currentSubStateDetails.currentSubState, "WaitingForRollbackDecision");
      await resource.update({ rollback: "return" });
      assert.equal(await harm(), "");
    } finally {
      await resource.destroy();
    }
  });
});

/** Fails if it runs with a superuser's privileges. */
const harmful = `
  CREATE FUNCTION harm() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
    IF current_setting('is_superuser') = 'on' THEN RAISE 'run as a superuser'; END IF;
    RETURN 1;
  END $$`;

/** While another session waits for a lock that mallory holds, she replaces an object by a view that runs her code. */
async function replacedDuring<Result>(
  { server, database }: { readonly server: EmbeddedServer; readonly database: string },
  [lock, replace]: readonly [string, string],
  run: () => Promise<Result>,
): Promise<Result> {
  const mallory = await server.connect(database, { user: "mallory", password: "mallory" });
  try {
    await mallory.query(`BEGIN; ${lock}`);
    const running = run();
    running.catch(() => undefined);
    const waits = "SELECT FROM pg_locks WHERE NOT granted AND locktype = 'relation'";
    await until("a session waits for the lock", async () => (await server.query(waits, { database })).length > 0);
    await mallory.query(`${replace}; COMMIT`);
    return await running;
  } finally {
    await mallory.end();
  }
}

const lockTable = "LOCK TABLE b IN ACCESS EXCLUSIVE MODE";
const tableByView = "ALTER TABLE b RENAME TO c; CREATE VIEW b AS SELECT harm() AS id";

describe("a table owner who replaces a table by a view", () => {
  let server: EmbeddedServer;
  let database: string;
  before(async () => {
    server = await EmbeddedServer.start({ major: 10 });
    await server.query("CREATE ROLE mallory LOGIN PASSWORD 'mallory'");
  });
  after(() => server.stop());
  beforeEach(async () => {
    database = await freshDatabase(
      server,
      `SET SESSION AUTHORIZATION mallory; ${harmful}; CREATE TABLE b (id int); INSERT INTO b VALUES (1);
       CREATE MATERIALIZED VIEW m AS SELECT id FROM b; CREATE SEQUENCE s; SELECT nextval('s')`,
    );
  });

  it("is not trusted after she has given away all that an older dump contains", async () => {
    await server.query("CREATE ROLE reader LOGIN PASSWORD 'reader'");
    await server.query("REASSIGN OWNED BY mallory TO postgres", { database });
    const trustedBy = async (login: { user: string; password: string }): Promise<boolean[]> => {
      const session = await connect({ ...endpointOf(server), ...login }, { database, purpose: "test" });
      const trusted = await readTrustedOwners(session).finally(() => session.end());
      return ["postgres", "reader", "mallory", "unknown"].map((role) => trusted.has(role));
    };
    const { user, password } = server.login;
    assert.deepEqual(await trustedBy({ user, password }), [true, false, false, false]);
    assert.deepEqual(await trustedBy({ user: "reader", password: "reader" }), [true, true, false, false]);
  });

  it("gets no code executed when the validation tries a query on the table", async () => {
    const session = await open(server, database);
    const trial = await replacedDuring({ server, database }, [lockTable, tableByView], () =>
      new Trials(session).runOn({ schema: "public", name: "b" }, "SELECT id FROM ONLY public.b"),
    ).finally(() => session.end());
    assert.deepEqual(trial, { ended: "untrusted" });
  });

  it("gets no code executed when the validation tries a materialized view", async () => {
    const session = await open(server, database);
    let isReplaced = false;
    const query = session.query.bind(session) as (...given: unknown[]) => Promise<unknown>;
    const replaceBefore = async (...given: unknown[]): Promise<unknown> => {
      if (String(given[0]).startsWith("BEGIN") && !isReplaced) {
        isReplaced = true;
        await server.query(`SET SESSION AUTHORIZATION mallory; ${tableByView}`, { database });
      }
      return query(...given);
    };
    Object.assign(session, { query: replaceBefore });
    const spec = { schemaOnly: false, dataOnly: false, include: {}, exclude: {} };
    const context = { sources: new Map([[database, session]]), spec } as unknown as ValidationContext;
    const findings = await Promise.resolve(recomputedColumns(context)).finally(() => session.end());
    assert.ok(isReplaced);
    assert.deepEqual(
      findings.map(({ code, object }) => [code, object]),
      [["PGM-424", '"public"."m"']],
    );
  });

  it("gets no code executed by a comparison", async () => {
    const target = await freshDatabase(server, "CREATE TABLE b (id int); INSERT INTO b VALUES (2)");
    const session = await open(server, database);
    const tables = (await listSizedTables(session)).map((table) => ({ table, condition: undefined }));
    await session.end();
    const openSource = () => open(server, database);
    const openTarget = () => open(server, target);
    const compare = () => compareTables({ openSource, openTarget, tables, mode: "content", jobs: 1 });
    await assert.rejects(
      replacedDuring({ server, database }, [lockTable, tableByView], compare),
      /the owner of a table replaced it before it was read: "public"."b" by a view/,
    );
  });

  it("gets no code executed when sequences are read", async () => {
    const source = await open(server, database);
    const lock = "ALTER SEQUENCE s RENAME TO s2; ALTER SEQUENCE s2 RENAME TO s";
    const replace =
      "ALTER SEQUENCE s RENAME TO s2; CREATE VIEW s AS SELECT harm()::int8 AS last_value, true AS is_called";
    await assert.rejects(
      replacedDuring({ server, database }, [lock, replace], () => carrySequences(source, source)).finally(() =>
        source.end(),
      ),
      /the owner of a sequence replaced it before it was read: "public"."s" by a view/,
    );
  });

  it("gets no code executed when the check of a target reads sequences", async () => {
    await server.query("CREATE TABLE numbered (id serial); INSERT INTO numbered SELECT FROM generate_series(1, 10)", {
      database,
    });
    await server.query("ALTER TABLE numbered OWNER TO mallory; ANALYZE numbered", { database });
    const lock = "ALTER SEQUENCE numbered_id_seq RENAME TO s2; ALTER SEQUENCE s2 RENAME TO numbered_id_seq";
    const replace =
      "ALTER SEQUENCE numbered_id_seq RENAME TO s2; CREATE VIEW numbered_id_seq AS SELECT harm()::int8 AS last_value, true AS is_called";
    await assert.rejects(
      replacedDuring({ server, database }, [lock, replace], () => checkDatabase(endpointOf(server), database)),
      /the owner of a sequence replaced it before it was read: "public"."numbered_id_seq" by a view/,
    );
  });

  it("gets no code executed when a table of the target is searched for rows", async () => {
    const session = await open(server, database);
    await assert.rejects(
      replacedDuring({ server, database }, [lockTable, tableByView], () =>
        tablesWithRows(session, [{ schema: "public", name: "b" }]),
      ).finally(() => session.end()),
      /the owner of a table replaced it before it was read: "public"."b" by a view/,
    );
  });

  it("gets no code executed by an index expression when its table is searched for rows", async () => {
    const session = await open(server, database);
    const create = `SET SESSION AUTHORIZATION mallory;
      CREATE FUNCTION planned() RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.harm(); RETURN true; END $$;
      CREATE INDEX ON b (id) WHERE planned()`;
    await server.query(create, { database });
    try {
      const table = { schema: "public", name: "b" };
      assert.deepEqual(await tablesWithRows(session, [table]), [table]);
      await server.query("SET SESSION AUTHORIZATION mallory; TRUNCATE b", { database });
      assert.deepEqual(await tablesWithRows(session, [table]), []);
    } finally {
      await session.end();
    }
  });
});

/** Better matches for what statements would call without a schema. Each fails if it is called. */
const betterMatches = `
  CREATE FUNCTION planted() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
    RAISE LOG 'planted code is run as %', current_user; RAISE 'planted code is run';
  END $$;
  CREATE FUNCTION hash_array_extended(bytea[], int) RETURNS int8 LANGUAGE sql AS 'SELECT planted()::int8';
  CREATE FUNCTION mod(int8, int) RETURNS int8 LANGUAGE sql AS 'SELECT planted()::int8';
  CREATE FUNCTION format(text, json) RETURNS text LANGUAGE sql AS 'SELECT planted()';
  CREATE FUNCTION format(text, text, text) RETURNS text LANGUAGE sql AS 'SELECT planted()';
  CREATE FUNCTION same(varchar, varchar) RETURNS bool LANGUAGE sql AS 'SELECT planted()::bool';
  CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, PROCEDURE = same);
  CREATE FUNCTION divided(float8, int) RETURNS float8 LANGUAGE sql AS 'SELECT planted()::float8';
  CREATE OPERATOR / (LEFTARG = float8, RIGHTARG = int, PROCEDURE = divided);
  CREATE FUNCTION make_interval(secs text) RETURNS interval LANGUAGE sql AS 'SELECT planted()::interval';
  CREATE FUNCTION split_part(text, name, int) RETURNS text LANGUAGE sql AS 'SELECT planted()';
  CREATE FUNCTION joined(json, json) RETURNS json LANGUAGE sql AS 'SELECT planted()::json';
  CREATE AGGREGATE json_agg(json) (SFUNC = joined, STYPE = json);
  CREATE FUNCTION array_dims(json[]) RETURNS text LANGUAGE sql AS 'SELECT planted()';
  CREATE FUNCTION unnest(json[]) RETURNS SETOF json LANGUAGE sql AS 'SELECT planted()::json';
  CREATE FUNCTION range_send(int4range) RETURNS bytea LANGUAGE sql AS 'SELECT planted()::bytea';
  CREATE FUNCTION pg_relation_filenode(oid) RETURNS oid LANGUAGE sql AS 'SELECT planted()::oid';
  CREATE FUNCTION concatenation(int8, text) RETURNS text LANGUAGE sql AS 'SELECT planted()';
  CREATE OPERATOR || (LEFTARG = int8, RIGHTARG = text, PROCEDURE = concatenation);
  CREATE FUNCTION same(oid, int) RETURNS bool LANGUAGE sql AS 'SELECT planted()::bool';
  CREATE OPERATOR = (LEFTARG = oid, RIGHTARG = int, PROCEDURE = same)`;

describe("a role that may only create objects in a schema of the search_path", () => {
  it("gets no code executed by a comparison, whenever it creates functions and operators", async () => {
    const server = await EmbeddedServer.start({ major: 14 });
    try {
      await server.query("CREATE ROLE mallory LOGIN");
      const table = "CREATE TABLE t (id int PRIMARY KEY, j json, js json[], r int4range)";
      const fill = `INSERT INTO t SELECT i, '{}', '{1,2}', '[1,5)' FROM generate_series(1, 1000) AS i`;
      const databases = [
        await freshDatabase(server, table, fill),
        await freshDatabase(server, table, `${fill}; UPDATE t SET j = '[]' WHERE id = 7`),
      ] as const;
      const [source, target] = databases;
      const session = await open(server, source);
      const tables = (await listSizedTables(session)).map((each) => ({ table: each, condition: undefined }));
      await session.end();
      const plant = async (): Promise<void> => {
        for (const database of databases)
          await server.query(`SET SESSION AUTHORIZATION mallory; ${betterMatches}`, { database });
      };
      let planting: Promise<void> | undefined;
      let rest: (planted: Promise<void>) => void = () => undefined;
      const targetRests = new Promise<void>((resolve) => (rest = resolve));
      const [compared] = await compareTables({
        openSource: () => open(server, source),
        openTarget: () => open(server, target),
        ...{ tables, mode: "content", jobs: 1, searchPath: '"$user", public', targetRests },
        // The source's rows are read, so the owners of all objects were checked before.
        onProgress: () => rest((planting ??= plant())),
      });
      assert.deepEqual(compared!.firstDifferences, [{ key: "id = 7", kind: "different" }]);
    } finally {
      await server.stop();
    }
  });

  it("gets no code executed by an online migration, its rollback replication and its return", async () => {
    const lab = await Lab.start({ source: { major: 14 }, target: { major: 17 } });
    const proxy = await CuttableProxy.to({ ...lab.source.login, sslMode: "Disable" });
    const resource = new Resource();
    // A failed copy is repeated, and may succeed then.
    const assertNotRun = async (): Promise<void> => {
      for (const server of [lab.source, lab.target])
        assert.doesNotMatch(await server.log(), /planted code is run as (?!%)/);
    };
    try {
      await lab.source.query("CREATE ROLE mallory LOGIN");
      const database = await lab.database(`
        CREATE TABLE keyed (id int PRIMARY KEY, v text); INSERT INTO keyed SELECT i, 'v' FROM generate_series(1, 1000) AS i;
        CREATE TABLE keyless (v varchar(40), n int); INSERT INTO keyless SELECT 'v' || i, i FROM generate_series(1, 5000) AS i;
        CREATE INDEX ON keyless (v); ALTER TABLE keyless REPLICA IDENTITY FULL; ANALYZE keyless`);
      const options = { source: proxy.endpoint, rollback: "keep", keylessTables: "full", splitTablesLargerThan: 8192 };
      const inputs = lab.onlineInputs([database], options);
      const held = proxy.hold(`${String(inputs.migrationName)} copy`);
      const created = resource.create(inputs);
      created.catch(() => undefined);
      await held.first;
      await lab.source.query(`SET SESSION AUTHORIZATION mallory; ${betterMatches}`, { database });
      held.release();
      await created;
      await assertNotRun();
      await resource.update({ triggerCutover: true });
      assert.equal(resource.status.currentSubStateDetails.currentSubState, "WaitingForRollbackDecision");
      await lab.queryTarget(database, "DELETE FROM keyless WHERE n = 7; UPDATE keyless SET n = -8 WHERE n = 8");
      await resource.update({ rollback: "return" });
      assert.equal(resource.status.state, "Canceled");
      await assertNotRun();
      for (const rows of ["SELECT id, v FROM keyed ORDER BY id", "SELECT v, n FROM keyless ORDER BY n"])
        assert.deepEqual(await lab.querySource(database, rows), await lab.queryTarget(database, rows));
    } finally {
      await resource.destroy();
      await proxy.close();
      await lab.stop();
    }
  });
});

/** The owner may no longer read what her objects read. The target's administrator can. */
const objectsOf = (owner: string, objects: string): string => `
  CREATE TABLE secret (id int PRIMARY KEY, v text); INSERT INTO secret VALUES (1, 'secret'); GRANT SELECT ON secret TO ${owner};
  CREATE TABLE own (id int PRIMARY KEY, v text); INSERT INTO own VALUES (1, 'own'); GRANT SELECT ON own TO ${owner}, alice;
  GRANT CREATE ON SCHEMA public TO ${owner}, alice;
  CREATE VIEW superusers AS SELECT * FROM secret; GRANT SELECT ON superusers TO reader;
  SET SESSION AUTHORIZATION alice; CREATE VIEW alices AS SELECT * FROM own; GRANT SELECT ON alices TO reader;
  SET SESSION AUTHORIZATION ${owner}; ${objects} RESET SESSION AUTHORIZATION;
  REVOKE SELECT ON secret FROM ${owner};`;

describe("an owner on the source whose views the target's administrator could read with more privileges", () => {
  let lab: Lab;
  const reader = { user: "reader", password: "reader" };
  before(async () => {
    lab = await Lab.start({ source: { major: 16 }, target: { major: 17 } });
    await lab.source.query("CREATE ROLE mallory; CREATE ROLE alice; CREATE ROLE reader");
    await lab.target.query("CREATE ROLE alice; CREATE ROLE reader LOGIN PASSWORD 'reader'; GRANT alice TO azureadmin");
  });
  after(() => lab.stop());

  const views = `
    CREATE VIEW stolen AS SELECT * FROM secret; GRANT SELECT ON stolen TO PUBLIC, reader;
    CREATE VIEW by_column AS SELECT * FROM secret; GRANT SELECT (v) ON by_column TO reader;
    CREATE VIEW invokers WITH (security_invoker = on) AS SELECT * FROM secret; GRANT SELECT ON invokers TO reader;
    CREATE TABLE loot (id int, v text); GRANT SELECT ON loot TO reader;
    CREATE TABLE hook (id int); CREATE RULE steal AS ON INSERT TO hook DO ALSO INSERT INTO loot SELECT * FROM secret;
    GRANT INSERT ON hook TO reader;
    CREATE MATERIALIZED VIEW filled AS SELECT * FROM secret; GRANT SELECT ON filled TO reader;`;

  for (const migrationMode of ["Offline", "Online"])
    it(`gives other roles none of the administrator's privileges if the target lacks the owner (${migrationMode})`, async () => {
      const database = await lab.database(objectsOf("mallory", views));
      const resource = new Resource();
      try {
        await resource.create(lab.inputs([database], { migrationMode }));
        if (migrationMode === "Online") {
          const late =
            "CREATE VIEW late AS SELECT 1; GRANT SELECT ON late TO reader; ALTER VIEW alices OWNER TO mallory";
          await lab.source.query(`${late}; ALTER VIEW late OWNER TO mallory`, { database });
          await resource.update({ triggerCutover: true });
        }
        assert.equal(resource.status.state, "Succeeded");
        const asReader = (sql: string): Promise<unknown[]> => lab.target.query(sql, { database, login: reader });
        const withheld = [
          "SELECT FROM stolen",
          "SELECT v FROM by_column",
          "INSERT INTO hook VALUES (1)",
          "SELECT FROM filled",
        ];
        const ofLate = migrationMode === "Online" ? ["SELECT FROM late", "SELECT FROM alices"] : [];
        for (const sql of [...withheld, ...ofLate]) await assert.rejects(asReader(sql), /permission denied for/, sql);
        await assert.rejects(asReader("SELECT FROM invokers"), /permission denied for table secret/);
        const granted = ["superusers", "loot", ...(migrationMode === "Online" ? [] : ["alices"])];
        for (const name of granted) await asReader(`SELECT FROM ${name}`);
        assertFinding(resource.status, /its privileges were left out, because azureadmin owns it/);
        assert.match(
          JSON.stringify(resource.status),
          /CREATE ROLE ..mallory.., then ALTER ... OWNER TO ..mallory.., and grant/,
        );
        assert.deepEqual(await lab.queryTarget(database, "SELECT v FROM filled"), [{ v: "secret" }]);
        assert.doesNotMatch(JSON.stringify(resource.status), /privileges are different|PGM-507/);
      } finally {
        await resource.destroy();
      }
    });

  it("cannot disguise a view and a function by the name of their schema", async () => {
    const schema = '"s; Type: TABLE; Schema: public"';
    const disguised = `CREATE SCHEMA ${schema}; GRANT USAGE ON SCHEMA ${schema} TO PUBLIC;
      CREATE VIEW ${schema}.stolen AS SELECT * FROM secret; GRANT SELECT ON ${schema}.stolen TO reader;
      CREATE FUNCTION ${schema}.me() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user::text';`;
    const mayCreate =
      "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO mallory', current_database()); END $$";
    const database = await lab.database(`${mayCreate}; ${objectsOf("mallory", disguised)}`);
    const resource = new Resource();
    try {
      await resource.create(lab.inputs([database]));
      const asReader = (sql: string): Promise<unknown[]> => lab.target.query(sql, { database, login: reader });
      assert.deepEqual(await asReader(`SELECT ${schema}.me() AS user`), [{ user: "reader" }]);
      await assert.rejects(asReader(`SELECT FROM ${schema}.stolen`), /permission denied for view stolen/);
    } finally {
      await resource.destroy();
    }
  });

  const materialized = `
    CREATE FUNCTION me() RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
    CREATE VIEW own_view AS SELECT * FROM own;
    CREATE MATERIALIZED VIEW who AS SELECT me() AS who, v FROM own_view; GRANT SELECT ON who TO reader;
    CREATE MATERIALIZED VIEW chained AS SELECT 'chained ' || who AS who FROM who; CREATE UNIQUE INDEX ON chained (who);
    CREATE MATERIALIZED VIEW never AS SELECT 1 AS one WITH NO DATA;
    CREATE MATERIALIZED VIEW stolen AS SELECT * FROM secret; GRANT SELECT ON stolen TO reader;`;

  for (const migrationMode of ["Offline", "Online"])
    it(`fills materialized views with what their owner may read, and runs functions as the owner (${migrationMode})`, async () => {
      const database = await lab.database(`${objectsOf("alice", materialized)}
        CREATE MATERIALIZED VIEW superusers_filled AS SELECT s.v, o.who FROM secret s CROSS JOIN who o`);
      const resource = new Resource();
      try {
        await resource.create(lab.inputs([database], { migrationMode }));
        if (migrationMode === "Online") await resource.update({ triggerCutover: true });
        assert.equal(resource.status.state, "Succeeded");
        const rows = (name: string): Promise<unknown[]> => lab.target.query(`SELECT * FROM ${name}`, { database });
        assert.deepEqual(await rows("who"), [{ who: "alice", v: "own" }]);
        assert.deepEqual(await rows("chained"), [{ who: "chained alice" }]);
        assert.deepEqual(await rows("superusers_filled"), [{ v: "secret", who: "alice" }]);
        assert.deepEqual(
          await lab.target.query("SELECT matviewname AS name FROM pg_matviews WHERE NOT ispopulated ORDER BY 1", {
            database,
          }),
          [{ name: "never" }, { name: "stolen" }],
        );
        assertFinding(resource.status, /not refreshed.*permission denied for table secret/);
        const [analyzed] = await lab.target.query("SELECT reltuples::int AS rows FROM pg_class WHERE relname = 'who'", {
          database,
        });
        assert.equal(analyzed!.rows, 1);
      } finally {
        await resource.destroy();
      }
    });

  it("gets no code executed by the default of a column that is added while the source is followed", async () => {
    const database = await lab.database(`GRANT CREATE ON SCHEMA public TO mallory; SET SESSION AUTHORIZATION mallory;
      CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 20);
      CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later SELECT generate_series(1, 20);
      CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        IF current_user = 'azureadmin' THEN RAISE 'run as the administrator'; END IF;
        RETURN (random() * 1000)::int;
      END $$;
      CREATE DOMAIN numbered AS int DEFAULT f() CHECK (value >= 0)`);
    const resource = await lab.follow([database]);
    try {
      await lab.source.query(
        `SET SESSION AUTHORIZATION mallory;
         ALTER TABLE t ADD COLUMN a int NOT NULL DEFAULT f(), ADD COLUMN b numbered, ADD COLUMN c int DEFAULT f();
         INSERT INTO t VALUES (21);
         BEGIN; ALTER TABLE later ADD COLUMN d timestamptz; ALTER TABLE later ALTER COLUMN d SET DEFAULT now(); COMMIT;
         INSERT INTO later VALUES (21)`,
        { database },
      );
      await resource.update({ triggerCutover: true });
      assert.equal(resource.status.state, "Succeeded");
      assert.equal(await assertSameContent(...lab.places(database)), 2);
      const columns = `SELECT column_name AS name, column_default AS default, is_nullable AS nullable
        FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position`;
      const [source, target] = [lab.source, lab.target].map((server) => server.query(columns, { database }));
      assert.deepEqual(await target, await source);
      const [{ count }] = (await lab.target.query(
        "SELECT count(*)::int AS count FROM pgmigration.event WHERE migration = $1 AND message LIKE '%run as the administrator%'",
        { values: [resource.inputs.migrationName] },
      )) as [{ count: number }];
      assert.equal(count, 0);
    } finally {
      await resource.destroy();
    }
  });

  it("gets no code executed by a cast when a column gets another type while the source is followed", async () => {
    const database = await lab.database(`GRANT CREATE ON SCHEMA public TO mallory; SET SESSION AUTHORIZATION mallory;
      CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN known_mood AS mood;
      CREATE FUNCTION f(mood) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        IF current_user = 'azureadmin' THEN RAISE LOG 'a cast is run as the administrator'; END IF;
        RETURN 1;
      END $$;
      CREATE CAST (mood AS int) WITH FUNCTION f(mood) AS ASSIGNMENT;
      CREATE TYPE entry AS (id int, m mood); CREATE TABLE typed OF entry (PRIMARY KEY (id)); INSERT INTO typed VALUES (1, 'bad');
      CREATE TABLE t (id int PRIMARY KEY, m known_mood[]); INSERT INTO t VALUES (1, '{good}')`);
    const resource = await lab.follow([database]);
    try {
      const changes = [
        [
          "t",
          "ALTER TABLE t ALTER m TYPE int[] USING m::int[]",
          'ALTER TABLE "public"."t" ALTER COLUMN "m" TYPE integer[] USING "m"::integer[]',
        ],
        [
          "typed",
          "ALTER TYPE entry ALTER ATTRIBUTE m TYPE int CASCADE",
          'ALTER TYPE "public"."entry" ALTER ATTRIBUTE "m" TYPE integer CASCADE',
        ],
      ] as const;
      for (const [table, change, asked] of changes) {
        await lab.source.query(`SET SESSION AUTHORIZATION mallory; ${change}`, { database });
        await until("the operator is asked", async () => (await resource.messageOf(database)).includes(asked));
        // The worker copies the rows again, because the source rewrote them.
        await lab.queryTarget(database, `TRUNCATE ${table}; ${asked}`);
        await until("the stream resumes", async () => (await resource.messageOf(database)) === "");
      }
      await resource.update({ triggerCutover: true });
      assert.equal(await assertSameContent(...lab.places(database)), 2);
      assert.doesNotMatch(await lab.target.log(), /a cast is run as the administrator/);
    } finally {
      await resource.destroy();
    }
  });
});

describe("a role of the source that may create publications", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
    await lab.source.query("CREATE ROLE mallory");
  });
  after(() => lab.stop());

  /** A database in which mallory owns the table `t`. */
  const databaseWithTable = (): Promise<string> =>
    lab.database(`DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO mallory', current_database()); END $$;
      GRANT CREATE ON SCHEMA public TO mallory; SET SESSION AUTHORIZATION mallory; CREATE TABLE t (id int PRIMARY KEY)`);

  /** Migrations write such comments. This one has a statement where the former replica identity should be. */
  const publish = (
    name: string,
    identities = `{"\\"public\\".\\"t\\"":"DEFAULT; CREATE TABLE planted ()"}`,
  ): string => `
    CREATE PUBLICATION ${name} WITH (publish = 'insert');
    COMMENT ON PUBLICATION ${name} IS 'REPLICA IDENTITY FULL set by pulumi-pg-migration, to be reset: ${identities}';`;
  const full = "ALTER TABLE t REPLICA IDENTITY FULL;";
  const asMallory = (database: string, sql: string): Promise<unknown> =>
    lab.source.query(`SET SESSION AUTHORIZATION mallory; ${sql}`, { database });
  const unpublish = (database: string): Promise<unknown> =>
    lab.querySource(database, "DROP PUBLICATION pg_migration_a, pg_migration_b");
  const planted = "SELECT FROM pg_class WHERE relname = 'planted'";
  const identity = "SELECT relreplident AS identity FROM pg_class WHERE oid = 't'::regclass";

  /** The names of the migration's own objects, which every role can compute. */
  function publicationOf({ migrationName }: Record<string, unknown>, database: string): string {
    const named = { migrationName: migrationName as string, maintenanceDatabase: "postgres" };
    return changeCaptureNames({ ...named, target: lab.target.login }, database).publication;
  }

  it("cannot leave out changes by the publication of a migration, nor get a statement executed by its comment", async () => {
    const database = await databaseWithTable();
    const resource = new Resource();
    const inputs = lab.onlineInputs([database]);
    await asMallory(database, full + publish(publicationOf(inputs, database)));
    try {
      assert.match(await Resource.failure(resource.create(inputs)), /belongs to mallory, who could leave out changes/);
    } finally {
      await resource.destroy();
    }
    assert.deepEqual(await lab.querySource(database, planted), []);
  });

  it("gets no statement executed by the comment of another publication", async () => {
    const database = await databaseWithTable();
    await asMallory(database, full + publish("pg_migration_a") + publish("pg_migration_b", "{"));
    const resource = new Resource();
    try {
      await resource.create(lab.inputs([database]));
      assert.equal(resource.status.state, "Succeeded");
      assert.deepEqual(await lab.queryTarget(database, planted), []);
      assert.deepEqual(await lab.queryTarget(database, identity), [{ identity: "f" }]);
    } finally {
      await resource.destroy();
      await unpublish(database);
    }
  });

  it("gets no statement executed by a comment while the source is followed", async () => {
    const database = await databaseWithTable();
    const resource = await lab.follow([database]);
    try {
      await asMallory(database, full + publish("pg_migration_a") + publish("pg_migration_b", "{"));
      await resource.update({ triggerCutover: true });
      assert.equal(resource.status.state, "Succeeded");
      assert.deepEqual(await lab.queryTarget(database, planted), []);
      assert.deepEqual(await lab.queryTarget(database, identity), [{ identity: "f" }]);
    } finally {
      await resource.destroy();
      await unpublish(database);
    }
  });
});

describe("a role of the target that is hostile", () => {
  it("neither runs nor blocks the function that creates roles of Microsoft Entra", async () => {
    const server = await EmbeddedServer.start({ major: 14 });
    let mallory: Client | undefined;
    const [byName, byId] = ["pgaadauth_create_principal", "pgaadauth_create_principal_with_oid"];
    const records = (name: string, types: string, role: string): string => `
      CREATE FUNCTION ${name}(${types}) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.calls VALUES (${role}); RETURN $1; END $$`;
    const both = (schema: string, role: string): string[] => [
      records(`${schema}.${byName}`, "text, bool, bool", role),
      records(`${schema}.${byId}`, "text, text, text, bool, bool", role),
    ];
    try {
      await server.query("CREATE ROLE mallory LOGIN PASSWORD 'mallory'; CREATE TABLE calls (by text)");
      mallory = await server.connect("postgres", { user: "mallory", password: "mallory" });
      const planted = [...both("public", "'mallory'"), ...both("pg_temp", "'mallory'")];
      await mallory.query(`CREATE FUNCTION ${byName}() RETURNS int LANGUAGE sql AS 'SELECT 1'; ${planted.join(";")}`);
      // In a schema in which others may create functions, a better match for the arguments must not be called either.
      await server.query(
        [
          "CREATE SCHEMA service; GRANT ALL ON SCHEMA service TO mallory",
          records(`service.${byName}`, "name, bool, bool", "'service by name'"),
          records(`service.${byId}`, "name, name, name, bool, bool", "'service by id'"),
        ].join(";"),
      );
      await mallory.query(both("service", "'mallory'").join(";"));
      const roles = [
        { name: "ada@contoso.com", objectId: "11111111-2222-3333-4444-555555555555", objectType: "user" },
        { name: "team", objectId: null, objectType: null },
      ];
      const session = await open(server, "postgres");
      await createEntraRoles(roles, session).finally(() => session.end());
      assert.deepEqual(await server.query("SELECT by FROM calls"), [
        { by: "service by id" },
        { by: "service by name" },
      ]);
      await mallory.end();
    } finally {
      await server.stop();
    }
  });
});

describe("a table owner on a source before 14 who is hostile", () => {
  it("gets no code executed when the validation tries a materialized view", async () => {
    const lab = await Lab.start({ source: { major: 10 } });
    const resource = new Resource();
    try {
      await lab.source.query("CREATE ROLE mallory LOGIN");
      const database = await lab.database("GRANT CREATE ON SCHEMA public TO mallory");
      const owned = `
        CREATE FUNCTION difference(float8, float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
          IF current_setting('is_superuser') = 'on' THEN RAISE 'run as a superuser'; END IF;
          RETURN $1 - $2;
        END $$;
        CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = difference);
        CREATE TABLE t AS SELECT i AS id, span(i, i + 10) AS s FROM generate_series(1, 500) AS i; ANALYZE t;
        CREATE MATERIALIZED VIEW by_range AS SELECT count(*) FROM t WHERE s <@ '[5,300)'`;
      await lab.source.query(`SET SESSION AUTHORIZATION mallory; ${owned}`, { database });
      await assert.rejects(
        lab.source.query("EXPLAIN SELECT FROM t WHERE s <@ '[5,300)'", { database }),
        /as a superuser/,
      );
      await resource.create(lab.inputs([database], { migrationOption: "Validate" }));
      assert.doesNotMatch(JSON.stringify(resource.status), /as a superuser/);
      assert.match(JSON.stringify(resource.status), /could not be tested.*by_range/);
    } finally {
      await resource.destroy();
      await lab.stop();
    }
  });

  it("gets no code executed by operators for the key's domain when a table is copied and compared in parts", async () => {
    const lab = await Lab.start({ source: { major: 10 } });
    const resource = new Resource();
    try {
      await lab.source.query("CREATE ROLE mallory LOGIN");
      const database = await lab.database("GRANT CREATE ON SCHEMA public TO mallory");
      const operator = (name: string, sign: string): string => `
        CREATE FUNCTION ${name}(k, int8) RETURNS bool LANGUAGE sql STABLE AS 'SELECT harm() IS NOT NULL AND $1::int8 ${sign} $2';
        CREATE OPERATOR ${sign} (LEFTARG = k, RIGHTARG = int8, PROCEDURE = ${name})`;
      const owned = `
        ${harmful}; CREATE DOMAIN k AS int8; ${operator("ge", ">=")}; ${operator("lt", "<")};
        CREATE TABLE big (id k PRIMARY KEY, v text);
        INSERT INTO big SELECT i, repeat('x', 100) FROM generate_series(1, 5000) AS i`;
      await lab.source.query(`SET SESSION AUTHORIZATION mallory; ${owned}`, { database });
      const parts = { splitTablesLargerThan: 100_000, verification: "content" };
      await resource.create(lab.inputs([database], parts));
      assert.equal(resource.status.state, "Succeeded");
      assert.equal(await assertSameContent(...lab.places(database)), 1);
    } finally {
      await resource.destroy();
      await lab.stop();
    }
  });
});
