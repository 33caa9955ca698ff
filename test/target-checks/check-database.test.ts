import assert from "node:assert/strict";
import type { Problem } from "../../provider/src/findings";
import { checkDatabase } from "../../provider/src/target-checks/check-database";
import { startAzureLikeServer } from "../support/servers/azure-like";
import type { EmbeddedServer, Login } from "../support/servers/embedded-server";

/** Rows are counted by the creation of indexes. Only this test collects statistics, because autovacuum is off. */
const schema = `
  CREATE SCHEMA "S x";
  SET search_path TO "S x";
  CREATE TABLE "no statistics" (id int PRIMARY KEY);
  INSERT INTO "no statistics" SELECT generate_series(1, 100);
  CREATE INDEX ON "no statistics" (id);
  CREATE TABLE "no rows" (id int PRIMARY KEY);
  CREATE TABLE parent (id int) PARTITION BY RANGE (id);
  CREATE TABLE child PARTITION OF parent FOR VALUES FROM (0) TO (1000);
  INSERT INTO child SELECT generate_series(1, 100);
  CREATE INDEX ON child (id);
  ANALYZE child;
  CREATE TABLE duplicates (v int);
  INSERT INTO duplicates VALUES (1), (1), (2);
  ANALYZE duplicates;
  CREATE TABLE checked (v int);
  ALTER TABLE checked ADD CONSTRAINT "C 1" CHECK (v > 0) NOT VALID;
  CREATE DOMAIN positive AS int;
  ALTER DOMAIN positive ADD CONSTRAINT "C 2" CHECK (VALUE > 0) NOT VALID;
  CREATE TABLE numbered (id serial PRIMARY KEY, other bigint GENERATED ALWAYS AS IDENTITY, v int);
  INSERT INTO numbered (id) SELECT generate_series(1, 100);
  ANALYZE numbered;
  CREATE SEQUENCE "by default";
  CREATE TABLE "uses default" (id int8 DEFAULT nextval('"by default"'));
  INSERT INTO "uses default" SELECT generate_series(5, 100);
  ANALYZE "uses default";
  CREATE TABLE "left out" (v int) WITH (autovacuum_enabled = off);
  CREATE COLLATION german (provider = icu, locale = 'de');
  CREATE TABLE words (v text COLLATE german, d text COLLATE "default", EXCLUDE USING btree (v WITH =));
  CREATE INDEX "by d" ON words (d);`;

/** As after an update of the server's operating system. Databases have no version before 15. */
const otherVersions = (major: number): string => `
  UPDATE pg_collation SET collversion = '0.1' WHERE collname = 'german';
  ${major >= 15 ? "UPDATE pg_database SET datcollversion = '0.2' WHERE datname = current_database();" : ""}`;

describe("the check of a target's database", () => {
  for (const major of [14, 18] as const)
    describe(`on ${major}`, () => {
      let server: EmbeddedServer;
      let administrator: Login;

      before(async () => {
        ({ server, administrator } = await startAzureLikeServer({ major, parameters: { autovacuum: "off" } }));
        const locale = major >= 15 ? "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'" : "";
        await server.query(`CREATE DATABASE crm ${locale}`, { login: administrator });
      });

      after(() => server.stop());

      const run = (sql: string): Promise<unknown> => server.query(sql, { database: "crm", login: administrator });
      const check = (): Promise<Problem[]> => checkDatabase({ ...administrator, sslMode: "Disable" }, "crm");

      it("finds nothing in an empty database", async () => assert.deepEqual(await check(), []));

      it("finds every kind of problem, and the remedies resolve them", async () => {
        await run(schema);
        if (major >= 18) await run('ALTER TABLE "S x".checked ADD CHECK (v > 1) NOT ENFORCED');
        const unique = 'CREATE UNIQUE INDEX CONCURRENTLY "U 1" ON "S x".duplicates (v)';
        await assert.rejects(run(unique), /could not create unique index/);
        await server.query(otherVersions(major), { database: "crm" });
        const found = await check();
        assert.deepEqual(
          found.map(({ code, object, state }) => `${code} ${object} ${state}`),
          [
            "PGM-812 S x.U 1 Failed",
            "PGM-813 S x.german Failed",
            ...(major >= 15 ? ["PGM-813 crm Failed"] : []),
            "PGM-811 S x.no statistics Warning",
            "PGM-811 S x.parent Warning",
            "PGM-814 S x.checked Warning",
            "PGM-814 S x.positive Warning",
            "PGM-815 S x.by default Warning",
            "PGM-815 S x.numbered_id_seq Warning",
            "PGM-816 S x.left out Warning",
          ],
        );
        assert(found.every(({ database }) => database === "crm"));
        assert.match(found.find(({ code }) => code === "PGM-815")!.message, /returns 1 next, but .* had 100 at/);
        await run('DELETE FROM "S x".duplicates');
        for (const { remedy } of found) for (const statement of remedy!.split("; ")) await run(statement);
        assert.deepEqual(await check(), []);
        // As after a failover, which loses the times of ANALYZE.
        await server.query("SELECT pg_stat_reset()", { database: "crm" });
        assert.deepEqual(await check(), []);
      });

      it("names the partitions as missing for an invalid index of a partitioned table", async () => {
        await run('CREATE INDEX "of parent" ON ONLY "S x".parent (id)');
        const [problem, ...others] = await check();
        assert.deepEqual(others, []);
        assert.equal(problem!.code, "PGM-812");
        assert.match(problem!.remedy!, /ALTER INDEX "S x"."of parent" ATTACH PARTITION/);
        await run('DROP INDEX "S x"."of parent"');
      });

      it("drops what a failed REINDEX CONCURRENTLY left", async () => {
        await run("CREATE TABLE rest (v int); INSERT INTO rest VALUES (1), (1); ANALYZE rest");
        await assert.rejects(run("CREATE UNIQUE INDEX CONCURRENTLY rest_ccnew1 ON rest (v)"));
        const [problem] = await check();
        assert.equal(problem!.remedy, 'DROP INDEX CONCURRENTLY "public"."rest_ccnew1"');
        await run(problem!.remedy);
        assert.deepEqual(await check(), []);
      });

      it("reads tables that the role may not read neither as a problem nor with an error", async () => {
        await server.query(
          "CREATE SCHEMA other; CREATE TABLE other.t (id serial); INSERT INTO other.t VALUES (5), (6); CREATE INDEX ON other.t (id)",
          {
            database: "crm",
          },
        );
        assert.deepEqual(await check(), []);
      });
    });
});
