import assert from "node:assert/strict";
import fc from "fast-check";
import { EngineError, RefusedError } from "../../provider/src/errors";
import { quoteLiteral } from "../../provider/src/postgres/identifiers";
import { replaceEntry } from "../../provider/src/worker/schema-sync/replaced-objects";
import { parseTocEntries } from "../../provider/src/schema/sql/toc-entries";
import {
  parseStatement,
  splitStatements,
  withoutSecrets,
  withoutSettingValues,
} from "../../provider/src/schema/sql/statements";

const headerOf = (id: number, fields: string): string =>
  `--\n-- TOC entry ${id} (class 1259 OID ${id + 1000})\n${fields}\n--\n\n`;

const table = (id: number, body: string): string =>
  `${headerOf(id, `-- Name: t${id}; Type: TABLE; Schema: public; Owner: me`)}${body}\n\n\n`;

const preamble = `--\n-- PostgreSQL database dump\n--\n\n\\restrict k3y\n\n-- Dumped by pg_dump version 18.3\n\nSET row_security = off;\n\n`;
const ending = `-- Completed on 2026-01-01\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict k3y\n\n`;

const dump = (...parts: string[]): string => preamble + parts.join("") + ending;

describe("the entries of a dump", () => {
  it("keep the end of a comment that looks like a session setting", () => {
    const sql = "COMMENT ON TABLE t1 IS 'a\nSET default_tablespace = ';";
    assert.equal(parseTocEntries(dump(table(1, sql)))[0]!.sql, sql);
  });

  it("have the values of their headers, without session settings around them", () => {
    const entries = parseTocEntries(
      dump(
        headerOf(6, "-- Name: app; Type: SCHEMA; Schema: -; Owner: "),
        'CREATE SCHEMA app;\n\n\nSET default_tablespace = "my; space";\n\nSET default_table_access_method = columnar;\n\n',
        headerOf(
          7,
          "-- Dependencies: 6 12\n-- Name: a; Type: VIEW; Schema: b; Owner: c; Type: TABLE; Schema: app; Owner: me; Tablespace: my; space",
        ),
        "CREATE TABLE app.a ();\n\n\n",
      ).replace('"my; space"', '"my space"'),
    );
    assert.deepEqual(entries, [
      {
        id: 6,
        classOid: 1259,
        oid: 1006,
        dependencies: [],
        name: "app",
        type: "SCHEMA",
        schema: undefined,
        owner: undefined,
        tablespace: undefined,
        accessMethod: "heap",
        sql: "CREATE SCHEMA app;",
      },
      {
        id: 7,
        classOid: 1259,
        oid: 1007,
        dependencies: [6, 12],
        name: "a; Type: VIEW; Schema: b; Owner: c",
        type: "TABLE",
        schema: "app",
        owner: "me",
        tablespace: "my; space",
        accessMethod: "columnar",
        sql: "CREATE TABLE app.a ();",
      },
    ]);
  });

  it("get kind, schema and owner from their statements if names look like the rest of a header", () => {
    const schema = "s; Type: TABLE; Schema: public";
    const readings = [
      [`v; Type: VIEW; Schema: ${schema}; Owner: me`, `CREATE VIEW "${schema}".v AS SELECT 1 FROM public.v;`],
      [`f(); Type: FUNCTION; Schema: ${schema}; Owner: me`, `CREATE FUNCTION "${schema}".f() RETURNS int;`],
      ["v; Type: VIEW; Schema: public; Owner: me; Owner: postgres", "CREATE VIEW public.v AS SELECT 1;"],
      ["v; Type: VIEW; Schema: public; Owner: postgres; Tablespace: x", "CREATE VIEW public.v AS SELECT 1;"],
      [`${schema}; Type: SCHEMA; Schema: -; Owner: me`, `CREATE SCHEMA "${schema}";`],
    ] as const;
    const found = readings.map(([title, sql]) => {
      const [{ type, schema: where, owner }] = parseTocEntries(dump(headerOf(1, `-- Name: ${title}`), sql)) as [
        ReturnType<typeof parseTocEntries>[number],
      ];
      return [type, where, owner];
    });
    assert.deepEqual(found, [
      ["VIEW", schema, "me"],
      ["FUNCTION", schema, "me"],
      ["VIEW", "public", "me; Owner: postgres"],
      ["VIEW", "public", "postgres; Tablespace: x"],
      ["SCHEMA", undefined, "me"],
    ]);
    const undecided = headerOf(1, "-- Name: x; Type: VIEW; Schema: a; Owner: q; Type: TABLE; Schema: a; Owner: me");
    assert.throws(() => parseTocEntries(dump(undecided, "CREATE VIEW a.x AS SELECT 1;")), RefusedError);
  });

  it("are never found inside strings, names, comments or bodies", () => {
    const hostile = fc.array(
      fc.constantFrom(
        "'",
        '"',
        "$",
        "$$",
        "$a$",
        "--",
        "/*",
        "*/",
        "\\",
        "\n",
        "E",
        ";",
        "x",
        " ",
        "ü",
        table(99, "CREATE"),
        ending,
      ),
      { maxLength: 12 },
    );
    const tag = fc.constantFrom("$_$", "$body$", "$ü$");
    const quoted = fc.tuple(hostile, tag).chain(([pieces, mark]) => {
      const text = pieces.join("");
      return fc.constantFrom(
        `SELECT '${text.replaceAll("'", "''")}'`,
        `SELECT E'${text.replace(/[\\']/g, "\\$&")}'`,
        `SELECT 1 AS "${text.replaceAll('"', '""')}"`,
        `DO ${mark}${text.replaceAll("$", "§")}${mark}`,
        `SELECT 1 -- ${text.replaceAll("\n", " ")}\n`,
        `SELECT a$b$c, 1 /* ${text.replaceAll(/\/\*|\*\//g, "")} */`,
      );
    });
    fc.assert(
      fc.property(fc.array(quoted, { minLength: 1, maxLength: 6 }), (statements) => {
        const entries = parseTocEntries(dump(...statements.map((sql, id) => table(id, `${sql};`))));
        assert.deepEqual(
          entries.map(({ sql }) => sql),
          statements.map((sql) => `${sql};`.trim()),
        );
        const counts = entries.map(({ sql }) => splitStatements(sql).length);
        assert.ok(counts.every((count) => count === 1));
      }),
      { numRuns: 500 },
    );
  });

  it("of 30 MB are read in linear time", () => {
    // CPU time instead of elapsed time, because other processes may run. A quadratic algorithm takes minutes.
    const body = `CREATE TABLE public.t (${Array.from({ length: 100 }, (_, column) => `"column ${column}" text DEFAULT 'it''s'`).join(",\n")});`;
    const text = dump(...Array.from({ length: 9000 }, (_, id) => table(id, body)));
    assert.ok(text.length > 30e6);
    const before = process.cpuUsage();
    assert.equal(parseTocEntries(text).length, 9000);
    assert.ok(process.cpuUsage(before).user < 20e6);
  });

  it("are refused if the dump is incomplete or invalid", () => {
    const text = dump(table(1, "CREATE TABLE public.t ();"));
    assert.throws(() => parseTocEntries(text.slice(0, -ending.length)), EngineError);
    assert.throws(() => parseTocEntries(dump(table(1, "SELECT 'cut"))), EngineError);
    assert.throws(() => parseTocEntries("SELECT 1;"), EngineError);
  });
});

describe("the statements of an entry", () => {
  const texts = (sql: string): string[] => splitStatements(sql).map(({ text }) => text);

  it("are shown without the values of settings with a prefix, which may be keys", () => {
    const hidden = "'<hidden value>'";
    for (const [sql, shown] of [
      [
        `CREATE FUNCTION f() RETURNS int LANGUAGE sql SET "app.key" TO 'k', E'it\\'s' SET work_mem TO '4MB' AS $$ SELECT 'app.x' $$`,
        `CREATE FUNCTION f() RETURNS int LANGUAGE sql SET "app.key" TO ${hidden} SET work_mem TO '4MB' AS $$ SELECT 'app.x' $$`,
      ],
      [`ALTER ROLE r SET "app"."key" TO ${quoteLiteral("back\\slash")}`, `ALTER ROLE r SET "app"."key" TO ${hidden}`],
      [`ALTER ROLE r SET "app"."jwt"."key" TO 'k'`, `ALTER ROLE r SET "app"."jwt"."key" TO ${hidden}`],
      [
        `CREATE TRIGGER t AFTER INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION s.http_request('https://host', 'POST', '{"Authorization":"Bearer k"}'); SELECT 'v'`,
        `CREATE TRIGGER t AFTER INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION s.http_request(${hidden}); SELECT 'v'`,
      ],
      [`ALTER ROLE r SET app.key TO 'k'; SELECT 1`, `ALTER ROLE r SET app.key TO ${hidden}; SELECT 1`],
    ] as const)
      assert.equal(withoutSettingValues(sql), shown);
    const call = "CREATE TRIGGER t AFTER INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION s.f(";
    const many = Array.from({ length: 32_767 }, () => "'k'").join(", ");
    assert.equal(withoutSettingValues(`${call}${many})`), `${call}${hidden})`);
    for (const kept of ["UPDATE t SET c.part = 'v'", 'GRANT SELECT ON a.b TO "c.d"', 'ALTER TABLE a.b OWNER TO "c.d"'])
      assert.equal(withoutSettingValues(kept), kept);
  });

  it("replace an existing object in place only if they create a function, procedure or view", () => {
    const drop = 'DROP TRIGGER IF EXISTS "r" ON s.t';
    const replacing = (sql: string): string => {
      const [entry] = parseTocEntries(dump(table(1, sql)));
      return replaceEntry(
        {
          kind: "trigger",
          key: "trigger r on s.t",
          id: "1/1",
          digest: "",
          drop,
          isRelationPart: true,
          ofParent: false,
        },
        entry!,
      ).sql;
    };
    assert.equal(replacing("CREATE VIEW s.v AS SELECT 1;"), "CREATE OR REPLACE VIEW s.v AS SELECT 1;");
    const rule = "CREATE RULE r AS ON INSERT TO s.t WHERE (new.v = 'CREATE VIEW v'::text) DO INSTEAD NOTHING;";
    assert.equal(replacing(rule), `${drop};\n${rule}`);
  });

  it("are shown without options and connections", () => {
    const sql = `CREATE SERVER s TYPE 'SET app.key TO' FOREIGN DATA WRAPPER w OPTIONS (password 'p')`;
    const shown = "CREATE SERVER s TYPE 'SET app.key TO' FOREIGN DATA WRAPPER w OPTIONS ...";
    assert.equal(withoutSecrets(parseStatement(sql)), shown);
  });

  it("are shown without the body of a function", () => {
    for (const kind of ["FUNCTION", "OR REPLACE PROCEDURE"]) {
      const create = `CREATE ${kind} f(a text DEFAULT 'v') LANGUAGE sql SET app.key TO`;
      const shown = `${create} '<hidden value>' AS '<hidden value>'`;
      assert.equal(withoutSecrets(parseStatement(`${create} 'k' AS $$SELECT 'AS' 'k'$$`)), shown);
    }
    const create = `CREATE FUNCTION f("return" text, return int DEFAULT (1)) RETURNS text LANGUAGE sql SET app.key TO`;
    for (const body of ["BEGIN ATOMIC SELECT 'key' AS a; END", "RETURN (a || 'key'::text)"])
      assert.equal(
        withoutSecrets(parseStatement(`${create} 'k' STRICT ${body}`)),
        `${create} '<hidden value>' STRICT '<hidden value>'`,
      );
    assert.equal(withoutSecrets(parseStatement("CREATE VIEW f AS SELECT 'v'")), "CREATE VIEW f AS SELECT 'v'");
  });

  it("end at semicolons outside quotes, parentheses and SQL-standard bodies", () => {
    const rule = "CREATE RULE r AS ON DELETE TO t DO INSTEAD (UPDATE t SET a = 1; NOTIFY t)";
    const body =
      "CREATE FUNCTION f() RETURNS text LANGUAGE sql\n BEGIN ATOMIC\n SELECT CASE WHEN true THEN ';' END;\n SELECT 2;\nEND";
    const atDepthZero = "CREATE VIEW v AS SELECT CASE WHEN (1 = 1) THEN 'END;' ELSE \"case\" END AS x";
    assert.deepEqual(texts(`-- c;\n${rule};\n\n${body};;\n${atDepthZero}; ALTER VIEW v OWNER TO x`), [
      rule,
      body,
      atDepthZero,
      "ALTER VIEW v OWNER TO x",
    ]);
  });
});
