import assert from "node:assert/strict";
import type { Client } from "pg";
import { RefusedError } from "../../provider/src/errors";
import { connect } from "../../provider/src/postgres/connection/connect";
import type { Entry } from "../../provider/src/schema/sql/toc-entries";
import type { RestoreFinding } from "../../provider/src/schema/sql/restore-findings";
import { readRestoreContext, type RestoreOptions } from "../../provider/src/schema/restore/restore-context";
import { refreshAsOwners } from "../../provider/src/schema/restore/materialized-views";
import { restoreEntries } from "../../provider/src/schema/restore/restore";
import { startAzureLikeServer } from "../support/servers/azure-like";
import type { EmbeddedServer, Login } from "../support/servers/embedded-server";

let lastId = 0;

const entry = (type: string, name: string, sql: string, facts: Partial<Entry> = {}): Entry => ({
  id: ++lastId,
  classOid: 0,
  oid: 0,
  dependencies: [],
  name,
  type,
  schema: "public",
  owner: "heir",
  tablespace: undefined,
  accessMethod: "heap",
  sql,
  ...facts,
});

for (const major of [16, 18] as const) {
  describe(`a restore on a managed PostgreSQL ${major}`, () => {
    let server: EmbeddedServer;
    let administrator: Login;
    let target: Client;

    before(async () => {
      ({ server, administrator } = await startAzureLikeServer({ major }));
      await server.query(
        `CREATE ROLE heir; CREATE ROLE stranger; CREATE ROLE partner; GRANT heir, partner TO azureadmin WITH INHERIT FALSE, SET TRUE;
         REVOKE CREATE ON DATABASE postgres FROM PUBLIC`,
      );
    });

    after(async () => server.stop());

    beforeEach(async () => {
      await server.query("DROP DATABASE IF EXISTS restored WITH (FORCE)");
      await server.query("CREATE DATABASE restored", { login: administrator });
      target = await connect({ ...administrator, sslMode: "Disable" }, { database: "restored", purpose: "test" });
    });

    afterEach(async () => target.end());

    async function restore(entries: readonly Entry[], options?: RestoreOptions): Promise<RestoreFinding[]> {
      return restoreEntries(target, entries, await readRestoreContext(target, options));
    }

    async function ask<Value>(sql: string): Promise<Value> {
      const { rows } = await target.query<{ value: Value }>(`SELECT ${sql} AS value`);
      return rows[0]!.value;
    }

    const messages = (findings: readonly RestoreFinding[]): string =>
      findings.map(({ object, message }) => `${object}: ${message}`).join("\n");

    const table = (name: string): Entry => entry("TABLE", name, `CREATE TABLE public.${name} (id integer, note text);`);

    it("creates a child's own NOT NULL of an inherited column, which the pg_dump of 18 writes", async () => {
      const findings = await restore([
        entry("TABLE", "parent", `CREATE TABLE public.parent (id integer, "a ""b" integer, note text);`),
        entry(
          "TABLE",
          "child",
          `CREATE TABLE public.child (\n    NOT NULL id,\n    extra integer DEFAULT length('NOT NULL, x') NOT NULL,\n    NOT NULL "a ""b",
    CONSTRAINT c CHECK ((id IN (1, 2)))\n)\nINHERITS (public.parent);\n\nALTER TABLE public.child ALTER COLUMN note SET STORAGE PLAIN;`,
        ),
      ]);
      assert.deepEqual(findings, []);
      const columns = `SELECT string_agg(attname || CASE WHEN attnotnull THEN '!' ELSE '' END, ' ' ORDER BY attnum)
        FROM pg_attribute WHERE attnum > 0 AND attrelid =`;
      assert.equal(await ask(`(${columns} 'public.child'::regclass)`), 'id! a "b! note extra!');
      assert.equal(await ask(`(${columns} 'public.parent'::regclass)`), 'id a "b note');
      assert.equal(await ask("(SELECT count(*)::int FROM pg_constraint WHERE conname = 'c')"), 1);
    });

    it("assigns objects only to roles that it may assign, and reports the others once", async () => {
      const give = (name: string, role: string): Entry =>
        entry("TABLE OWNER", name, `ALTER TABLE public.${name} OWNER TO ${role};`);
      const findings = await restore([
        ...["a", "b", "c", "d"].map(table),
        give("a", "heir"),
        give("b", "stranger"),
        give("c", "missing_role"),
        give("d", "missing_role"),
      ]);
      assert.equal(
        messages(findings),
        "public.b: azureadmin may not give objects to stranger, so it owns them itself\n" +
          "public.c, public.d: role missing_role does not exist on the target, so azureadmin owns its objects",
      );
      const owners = await ask(
        "(SELECT string_agg(tableowner, ',' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public')",
      );
      assert.equal(owners, "heir,azureadmin,azureadmin,azureadmin");
      // CREATE was granted to the new owner only during the transaction.
      assert.equal(await ask("has_schema_privilege('heir', 'public', 'CREATE')"), false);
    });

    const definer = (name: string, owner: string, facts: Partial<Entry> = { needsOwner: true }): Entry[] => {
      const { schema = "public" } = facts;
      const routine = `FUNCTION ${schema}.${name}()`;
      const create = `CREATE ${routine} RETURNS text LANGUAGE sql AS 'SELECT current_user::text';`;
      return [
        entry("FUNCTION", `${name}()`, create, { schema }),
        entry("FUNCTION OWNER", `${name}()`, `ALTER ${routine} OWNER TO ${owner};`, { schema, owner }),
        entry("FUNCTION DEFINER", `${name}()`, `ALTER ${routine} SECURITY DEFINER;`, { owner, ...facts }),
      ];
    };

    /** The role with whose privileges a function runs that another role calls. */
    const userOf = async (name: string): Promise<unknown> =>
      (await server.query(`SET ROLE partner; SELECT ${name}() AS user`, { database: "restored" })).at(-1)!.user;

    it("makes a function SECURITY DEFINER only under its owner, unless the owner's code is trusted", async () => {
      const findings = await restore([
        ...definer("owned", "heir", { needsOwner: true }),
        ...definer("missing", "missing_role", { needsOwner: true }),
        ...definer("foreign", "stranger", { needsOwner: true }),
        ...definer("trusted", "missing_role", {}),
      ]);
      const definers = findings.filter(({ objectType }) => objectType === "FUNCTION DEFINER");
      assert.deepEqual(
        definers.map(({ code, object }) => `${code} ${object}`),
        ["PGM-430 public.missing()", "PGM-431 public.foreign()"],
      );
      assert.match(definers[0]!.message, /code of missing_role must not run with the privileges of azureadmin/);
      assert.equal(
        definers[0]!.remedy,
        "give the function to a role with the privileges of missing_role: ALTER FUNCTION public.missing() OWNER TO ...; then ALTER FUNCTION public.missing() SECURITY DEFINER",
      );
      assert.equal(await userOf("public.owned"), "heir");
      assert.equal(await userOf("public.missing"), "partner");
      assert.equal(await userOf("public.foreign"), "partner");
      assert.equal(await userOf("public.trusted"), "azureadmin");
    });

    it("leaves a function SECURITY INVOKER if the target refuses its owner, also if the function existed before", async () => {
      await server.query(
        `CREATE SCHEMA closed; GRANT USAGE, CREATE ON SCHEMA closed TO azureadmin; GRANT USAGE ON SCHEMA closed TO heir, partner`,
        { database: "restored" },
      );
      const closed = { schema: "closed", needsOwner: true };
      const findings = await restore(definer("refused", "heir", closed));
      assert.deepEqual(
        findings.map(({ code, objectType }) => `${code} ${objectType}`),
        ["PGM-433 FUNCTION OWNER", "PGM-431 FUNCTION DEFINER"],
      );
      assert.equal(await userOf("closed.refused"), "partner");
      const earlier = [...definer("refused", "heir", closed), ...definer("missing", "missing_role")];
      await restore(
        earlier.filter(({ type }) => type === "FUNCTION"),
        { resumed: true },
      );
      for (const name of ["closed.refused", "public.missing"])
        await target.query(`ALTER FUNCTION ${name}() SECURITY DEFINER`);
      await restore(earlier, { resumed: true });
      for (const name of ["closed.refused", "public.missing"]) assert.equal(await userOf(name), "partner");
    });

    it("makes a function of an owner without privileges on its schema SECURITY DEFINER, if it inherits the owner's privileges", async () => {
      const hidden = { schema: "hidden", needsOwner: true };
      await target.query("CREATE SCHEMA hidden; GRANT USAGE ON SCHEMA hidden TO partner");
      const [refusal, ...others] = await restore(definer("other", "heir", hidden));
      assert.deepEqual([refusal!.code, others], ["PGM-433", []]);
      assert.equal(
        refusal!.remedy,
        "as a role with the privilege, run: ALTER FUNCTION hidden.other() SECURITY DEFINER",
      );
      assert.equal(await userOf("hidden.other"), "partner");
      await server.query("GRANT heir TO azureadmin WITH INHERIT TRUE");
      try {
        assert.deepEqual(await restore(definer("owned", "heir", hidden)), []);
        assert.equal(await userOf("hidden.owned"), "heir");
      } finally {
        await server.query("GRANT heir TO azureadmin WITH INHERIT FALSE");
      }
    });

    it("grants privileges on a view only under its owner, and refreshes a materialized view as its owner", async () => {
      await server.query("CREATE SCHEMA refused; GRANT USAGE, CREATE ON SCHEMA refused TO azureadmin", {
        database: "restored",
      });
      const view = (name: string, owner: string, facts: Partial<Entry> = { needsOwner: true }): Entry[] => {
        const { schema = "public" } = facts;
        return [
          entry("VIEW", name, `CREATE VIEW ${schema}.${name} AS SELECT 1 AS one;`, { schema }),
          entry("VIEW OWNER", name, `ALTER VIEW ${schema}.${name} OWNER TO ${owner};`, { schema, owner }),
          entry("ACL", `TABLE ${name}`, `GRANT SELECT ON TABLE ${schema}.${name} TO PUBLIC;`, { owner, ...facts }),
          entry("ACL", `COLUMN ${name}.one`, `GRANT SELECT(one) ON TABLE ${schema}.${name} TO partner;`, {
            owner,
            ...facts,
          }),
        ];
      };
      const findings = await restore([
        ...view("owned", "heir"),
        ...view("missing", "missing_role"),
        ...view("foreign_one", "stranger"),
        ...view("refused", "heir", { schema: "refused", needsOwner: true }),
        ...view("trusted", "missing_role", {}),
        ...view("invokers", "missing_role", { needsOwner: "before15" }),
      ]);
      const withheld = findings.filter(({ message }) => message.startsWith("its privileges were left out"));
      assert.deepEqual(
        withheld.map(({ code, object, remedy }) => [code, object, remedy]),
        [
          [
            "PGM-430",
            "TABLE public.missing, COLUMN public.missing.one",
            'CREATE ROLE "missing_role", then ALTER ... OWNER TO "missing_role", and grant as on the source',
          ],
          [
            "PGM-431",
            "TABLE public.foreign_one, COLUMN public.foreign_one.one",
            'GRANT "stranger" TO "azureadmin", then ALTER ... OWNER TO "stranger", and grant as on the source',
          ],
          [
            "PGM-431",
            "TABLE refused.refused, COLUMN refused.refused.one",
            'GRANT "heir" TO "azureadmin", then ALTER ... OWNER TO "heir", and grant as on the source',
          ],
        ],
      );
      const granted = `SELECT string_agg(relname || ':' || attacl::text, ' ' ORDER BY relname)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE relkind = 'v' AND attacl IS NOT NULL`;
      assert.equal(
        await ask(`(${granted})`),
        "invokers:{partner=r/azureadmin} owned:{partner=r/heir} trusted:{partner=r/azureadmin}",
      );
      await target.query(`CREATE MATERIALIZED VIEW public.who AS SELECT current_user::text AS who WITH NO DATA`);
      await server.query("ALTER MATERIALIZED VIEW who OWNER TO heir", { database: "restored" });
      const refreshed = await refreshAsOwners(
        target,
        [{ schema: "public", name: "who" }],
        await readRestoreContext(target),
      );
      assert.deepEqual(refreshed, []);
      assert.deepEqual(await server.query("SELECT who FROM who", { database: "restored" }), [{ who: "heir" }]);
    });

    it("reports as 603708 that azure_pg_admin does not own the schema public", async () => {
      await server.query("CREATE ROLE outsider LOGIN CREATEDB PASSWORD 'o'");
      await server.query("CREATE DATABASE apart", { login: { user: "outsider", password: "o" } });
      const login = { ...administrator, user: "outsider", password: "o", sslMode: "Disable" as const };
      const session = await connect(login, { database: "apart", purpose: "test" });
      try {
        const owner = entry("SCHEMA OWNER", "public", "ALTER SCHEMA public OWNER TO azure_pg_admin;");
        const [finding] = await restoreEntries(session, [owner], await readRestoreContext(session));
        assert.equal(finding!.code, "603708");
        assert.match(finding!.message, /outsider may not give objects to azure_pg_admin/);
      } finally {
        await session.end();
      }
    });

    it("skips privileges of missing roles, keeps the others, and grants as the owner if only the owner may", async () => {
      const findings = await restore([
        table("a"),
        entry("TABLE OWNER", "a", "ALTER TABLE public.a OWNER TO heir;"),
        entry(
          "ACL",
          "TABLE a",
          `GRANT SELECT ON TABLE public.a TO missing_role; GRANT SELECT ON TABLE public.a TO stranger;
           REVOKE ALL ON TABLE public.a FROM missing_role; GRANT SELECT ON TABLE public.a TO partner WITH GRANT OPTION;
           SET SESSION AUTHORIZATION partner; GRANT SELECT ON TABLE public.a TO PUBLIC; RESET SESSION AUTHORIZATION;`,
        ),
        entry("DEFAULT ACL", "d", "ALTER DEFAULT PRIVILEGES FOR ROLE missing_role GRANT SELECT ON TABLES TO stranger;"),
        entry("DEFAULT ACL", "e", "ALTER DEFAULT PRIVILEGES FOR ROLE stranger GRANT SELECT ON TABLES TO heir;"),
      ]);
      assert.equal(
        messages(findings),
        "TABLE public.a: role missing_role does not exist on the target, so its privileges were left out\n" +
          "public.d: role missing_role does not exist on the target, so its default privileges were left out\n" +
          "public.e: azureadmin may not act as stranger, so its default privileges were left out",
      );
      // The administrator has a privilege through PUBLIC, so that the server warns instead of refusing.
      assert.deepEqual(await restore([entry("ACL", "TABLE a", "GRANT UPDATE ON TABLE public.a TO stranger;")]), []);
      const acl = await ask<string>("(SELECT relacl::text FROM pg_class WHERE relname = 'a')");
      for (const item of ["stranger=rw/heir", "partner=r*/heir", "=r/partner"]) assert.ok(acl.includes(item), acl);
    });

    it("keeps a policy's existing roles, and never creates a policy of missing roles for PUBLIC", async () => {
      const findings = await restore([
        table("a"),
        entry(
          "POLICY",
          "a kept",
          "CREATE POLICY kept ON public.a TO missing_role, heir USING ((note <> ' TO '::text));",
        ),
        entry("POLICY", "a left", "CREATE POLICY left_out ON public.a TO missing_role USING (true);"),
      ]);
      assert.deepEqual(
        findings.map(({ object, state }) => [object, state]),
        [
          ["public.a kept", "Warning"],
          ["public.a left", "Failed"],
        ],
      );
      assert.equal(await ask("(SELECT string_agg(policyname || roles::text, ',') FROM pg_policies)"), "kept{heir}");
    });

    it("never creates a subscription, and never shows its password", async () => {
      const sql = "CREATE SUBSCRIPTION s CONNECTION 'host=h password=geheim' PUBLICATION p WITH (connect = false);";
      const [finding] = await restore([entry("SUBSCRIPTION", "s", sql, { schema: undefined })]);
      assert.equal(finding?.state, "Failed");
      assert.match(finding.remedy ?? "", /CREATE SUBSCRIPTION s/);
      assert.doesNotMatch(JSON.stringify(finding), /geheim/);
    });

    it("uses the default tablespace and table access method if the target lacks the source's", async () => {
      const findings = await restore([{ ...table("a"), tablespace: "fast", accessMethod: "columnar" }]);
      assert.match(messages(findings), /tablespace fast was left out[^]*no table access method columnar/);
    });

    it("skips options that the target does not know, and keeps the others", async () => {
      const findings = await restore([
        table("a"),
        entry(
          "TABLE",
          "b",
          `CREATE TABLE public.b (id integer, note text DEFAULT 'odd=1') WITH (odd='x', fillfactor='70', toast.odd='y');
           ALTER TABLE ONLY public.b ALTER COLUMN id SET (n_distinct=-0.5, pg_attver='1,2');
           ALTER TABLE ONLY public.b ALTER COLUMN note SET (pg_attver='3');`,
        ),
        entry("INDEX", "i", "CREATE INDEX i ON public.b USING btree (id) WITH (odd='x');"),
      ]);
      assert.match(
        messages(findings),
        /public\.b.*option odd was left out[^]*public\.b.*option pg_attver was left out/,
      );
      assert.equal(await ask("(SELECT reloptions::text FROM pg_class WHERE relname = 'b')"), "{fillfactor=70}");
      assert.equal(
        await ask("(SELECT string_agg(attoptions::text, ',') FROM pg_attribute WHERE attrelid = 'public.b'::regclass)"),
        "{n_distinct=-0.5}",
      );
      assert.equal(await ask("to_regclass('public.i')::text"), "public.i");
    });

    it("creates a LEAKPROOF function without LEAKPROOF", async () => {
      const findings = await restore([
        entry(
          "FUNCTION",
          "f()",
          "CREATE FUNCTION public.f() RETURNS integer LANGUAGE sql IMMUTABLE LEAKPROOF AS $$SELECT 1$$;",
        ),
      ]);
      assert.match(messages(findings), /not LEAKPROOF/);
      assert.equal(await ask("public.f()"), 1);
    });

    it("builds an index, and fills a materialized view, whose functions rely on the search_path", async () => {
      const findings = await restore(
        [
          table("a"),
          entry(
            "FUNCTION",
            "f(integer)",
            `CREATE FUNCTION public.f(integer) RETURNS bigint LANGUAGE plpgsql IMMUTABLE
             AS 'BEGIN RETURN (SELECT count(*) FROM a WHERE id = $1); END';`,
          ),
          entry("TABLE", "b", "CREATE TABLE public.b AS SELECT 1 AS id;"),
          entry("INDEX", "i", "CREATE INDEX i ON public.b USING btree (public.f(id));"),
          entry(
            "FUNCTION",
            "g(integer)",
            `CREATE FUNCTION public.g(integer) RETURNS bigint LANGUAGE plpgsql IMMUTABLE
             AS 'BEGIN RETURN (SELECT count(*) FROM a WHERE id = $1); END';`,
          ),
          entry("MATERIALIZED VIEW", "m", "CREATE MATERIALIZED VIEW public.m AS SELECT public.g(1) AS n WITH NO DATA;"),
          entry("MATERIALIZED VIEW DATA", "m", "REFRESH MATERIALIZED VIEW public.m;"),
        ],
        { sourceSearchPath: '"$user", public' },
      );
      assert.equal(findings.map(({ object }) => object).join(", "), "public.i, public.m");
      assert.match(messages(findings), /search_path "\$user", public/);
      assert.equal(await ask("(SELECT n::integer FROM public.m)"), 0);
    });

    it("skips objects that only a superuser may create, and shows the command to add them", async () => {
      const findings = await restore([
        table("a"),
        entry("FUNCTION", "t()", "CREATE FUNCTION public.t() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"),
        entry("EVENT TRIGGER", "e", "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION public.t();"),
        entry("CAST", "c", "CREATE CAST (integer AS bytea) WITHOUT FUNCTION;"),
        entry("PUBLICATION", "p", "CREATE PUBLICATION p FOR ALL TABLES WITH (publish = 'insert');"),
        entry("PUBLICATION", "q", "CREATE PUBLICATION q WITH (publish = 'insert');"),
        entry("PUBLICATION TABLE", "q a", "ALTER PUBLICATION q ADD TABLE ONLY public.a;"),
        entry("COMMENT", "EXTENSION plpgsql", "COMMENT ON EXTENSION plpgsql IS 'x';", { schema: undefined }),
        entry("SCHEMA", "public", "-- *not* creating schema, since initdb creates it\n", { schema: undefined }),
      ]);
      const left = findings.filter(({ state }) => state === "Failed");
      // From 18 on, event triggers do not require a superuser.
      assert.deepEqual(
        left.map(({ objectType }) => objectType).filter((type) => type !== "EVENT TRIGGER"),
        ["CAST", "PUBLICATION"],
      );
      assert.ok(left.every(({ remedy }) => remedy?.includes("CREATE ")));
      assert.equal(await ask("(SELECT string_agg(pubname || tablename, ',') FROM pg_publication_tables)"), "qa");
    });

    it("names a skipped extension as the cause of objects that fail without it", async () => {
      const extension = entry("EXTENSION", "postgis", "CREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA public;");
      const comment = entry("COMMENT", "EXTENSION postgis", "COMMENT ON EXTENSION postgis IS 'x';", {
        dependencies: [extension.id],
      });
      await assert.rejects(
        restore([extension, comment, entry("TABLE", "a", "CREATE TABLE public.a (g public.geometry);")]),
        (error) =>
          error instanceof RefusedError &&
          /TABLE public\.a was refused.*geometry.*42704.*EXTENSION public\.postgis[^]*in: CREATE TABLE public\.a/.test(
            error.message,
          ),
      );
    });

    it("refuses an existing object, unless an earlier run may have created it", async () => {
      const key = entry("CONSTRAINT", "a a_key", "ALTER TABLE ONLY public.a ADD CONSTRAINT a_key PRIMARY KEY (id);");
      await restore([table("a"), key]);
      await assert.rejects(restore([table("a")]), /already exists[^]*To do: drop the object/);
      assert.deepEqual(await restore([table("a"), key], { resumed: true }), []);
    });

    it("does not accept an object of another role instead of one that an earlier run created", async () => {
      await server.query(
        `GRANT CREATE ON SCHEMA public TO stranger; GRANT CREATE ON DATABASE restored TO stranger; SET ROLE stranger; CREATE SCHEMA s;
         CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE DOMAIN d AS int; CREATE TABLE "a ""b" (id int);
         CREATE EXTENSION tablefunc; CREATE FUNCTION g(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TABLE hidden (id int);
         ALTER EXTENSION tablefunc ADD FUNCTION g(int); ALTER EXTENSION tablefunc ADD TABLE hidden`,
        { database: "restored" },
      );
      const taken = [
        entry("FUNCTION", "g(integer)", "CREATE FUNCTION public.g(integer) RETURNS int LANGUAGE sql AS 'SELECT 2';"),
        entry("TABLE", "hidden", "CREATE TABLE public.hidden (id integer);"),
        entry("FUNCTION", "f(integer)", "CREATE FUNCTION public.f(integer) RETURNS int LANGUAGE sql AS 'SELECT 2';"),
        entry("TYPE", "d", "CREATE TYPE public.d AS ENUM ('x');"),
        entry("TABLE", 'a "b', 'CREATE TABLE public."a ""b" (id integer);'),
        entry("SCHEMA", "s", "CREATE SCHEMA s;", { schema: undefined }),
      ];
      for (const one of taken)
        await assert.rejects(
          restore([one], { resumed: true }),
          /was not created: stranger has created one on the target/,
        );
    });

    it("does not accept an existing unique index instead of one that its rows violate", async () => {
      await restore([table("a")]);
      await target.query("INSERT INTO public.a VALUES (1), (1)");
      const index = entry("INDEX", "i", "CREATE UNIQUE INDEX i ON public.a USING btree (id);");
      await assert.rejects(restore([index], { resumed: true }), /could not create unique index/);
    });

    it("rebuilds an invalid index", async () => {
      const index = entry("INDEX", "i", "CREATE INDEX i ON public.a USING btree (id);");
      await restore([table("a"), index]);
      await server.query("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.i'::regclass", {
        database: "restored",
      });
      assert.deepEqual(await restore([index], { resumed: true }), []);
      assert.equal(await ask("(SELECT indisvalid FROM pg_index WHERE indexrelid = 'public.i'::regclass)"), true);
    });

    it("rolls back an entry that fails halfway, and names the statement", async () => {
      const halves = entry(
        "TABLE",
        "a",
        "CREATE TABLE public.a (id integer);\nALTER TABLE public.a ADD CHECK (missing > 0);",
      );
      await assert.rejects(restore([halves]), /TABLE public\.a was refused[^]*in: ALTER TABLE public\.a ADD CHECK/);
      assert.equal(await ask("to_regclass('public.a')"), null);
    });
  });
}
