import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "../../provider/src/postgres/connection/connect";
import { tablesUnsafeToPlan } from "../../provider/src/postgres/planner-functions";
import { CommandLine } from "../cli/command";
import { endpointOf } from "../copy/pairs";
import { assertFinding } from "../support/findings";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";

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

  it("gets no code executed by an online migration, its verification, cutover and return", async () => {
    const { database, harm } = await hostileDatabase();
    const resource = new Resource();
    try {
      await resource.create(lab.inputs([database], { migrationMode: "Online", migrateRoles: true }));
      await lab.source.query(
        "SET SESSION AUTHORIZATION mallory; INSERT INTO harmless VALUES (1000, 'later'); INSERT INTO by_predicate VALUES (1000)",
        { database },
      );
      await resource.update({ verifyNow: "once" });
      assert.equal(await harm(), "");
      await resource.update({ triggerCutover: true, rollback: "keep" });
      assertFinding(resource.status, rollbackTrust);
      assert.equal(resource.status.currentSubStateDetails.currentSubState, "WaitingForRollbackDecision");
      await resource.update({ rollback: "return" });
      assert.equal(await harm(), "");
    } finally {
      await resource.destroy();
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
});
