import assert from "node:assert/strict";
import { escapeIdentifier, escapeLiteral } from "pg";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";

/** Names that a statement, a message, a pattern or an object of JavaScript may read as something else. The longest has 63 bytes. */
const hostileNames = [
  ...[
    "'",
    '"',
    '""',
    "''",
    "\\",
    "\\\\",
    "\\'",
    "\n",
    "\r\n",
    "\t",
    "\b",
    "\u001b[2J",
    " ",
    "  x  ",
    ".",
    "a.b",
    ",",
    ";",
  ],
  ...[
    "(",
    ")",
    "$$",
    "$1",
    "$body$",
    "%",
    "%s",
    "%I%%",
    "--",
    "/*",
    "*/",
    "{}",
    '{"a":1}',
    "pg_temp",
    "pg_temp_1",
    "public",
  ],
  ...[
    "null",
    "select",
    "user",
    "pg_catalog.pg_class",
    "__proto__",
    "constructor",
    "é",
    "e\u0301",
    "😀",
    "\u202eabc",
    "\u00a0",
  ],
  ...["'; DROP TABLE x; --", `${"n".repeat(61)}é`],
];

/** Quoted names of one table with its objects. PostgreSQL reserves some names of schemas and roles. */
function identifiersOf(name: string) {
  const mayBeSchema = !/^(pg_|public$)/.test(name);
  const other = (prefix: string): string => escapeIdentifier(`${prefix}${name}`.slice(0, 50));
  const schema = mayBeSchema ? escapeIdentifier(name) : other("schema ");
  const table = `${schema}.${escapeIdentifier(name)}`;
  return {
    other,
    schema,
    table,
    id: escapeIdentifier(name),
    role: mayBeSchema ? schema : other("role "),
    text: escapeLiteral(name),
  };
}

function objects(name: string): string {
  const { other, schema, table, id, role, text } = identifiersOf(name);
  return `
    CREATE SCHEMA ${schema};
    CREATE TYPE ${schema}.${other("t")} AS ENUM (${text}, 'other');
    CREATE TABLE ${table} (${id} int, ${other("v")} text DEFAULT ${text}, e ${schema}.${other("t")} DEFAULT ${text}, s serial,
      CONSTRAINT ${other("p")} PRIMARY KEY (${id}), CONSTRAINT ${id} CHECK (${id} < 1000));
    CREATE TABLE ${schema}.${other("k")} (${id} text);
    CREATE INDEX ${other("i")} ON ${table} (s);
    CREATE FUNCTION ${schema}.${id}() RETURNS trigger LANGUAGE plpgsql AS ${escapeLiteral(`BEGIN PERFORM ${text}; RETURN NEW; END`)};
    CREATE TRIGGER ${id} BEFORE INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION ${schema}.${id}();
    CREATE VIEW ${schema}.${other("w")} AS SELECT * FROM ${table};
    COMMENT ON TABLE ${table} IS ${text};
    INSERT INTO ${table} (${id}) SELECT generate_series(1, 9);
    INSERT INTO ${schema}.${other("k")} VALUES (${text}), (${text});
    GRANT SELECT ON ${table} TO ${role};
    ALTER TABLE ${table} OWNER TO ${role};`;
}

function changes(name: string): string {
  const { other, schema, table, id } = identifiersOf(name);
  return `
    UPDATE ${table} SET ${id} = 100 + ${id}, e = 'other' WHERE ${id} < 4; DELETE FROM ${table} WHERE ${id} = 5;
    INSERT INTO ${table} (${id}) VALUES (50); INSERT INTO ${schema}.${other("k")} VALUES ('new');`;
}

describe("hostile names", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start();
    await lab.source.query(hostileNames.map((name) => `CREATE ROLE ${identifiersOf(name).role}`).join("; "));
  });
  after(() => lab.stop());

  const database = (): Promise<string> => lab.database(hostileNames.map(objects).join("\n"));

  for (const migrateRoles of [false, true])
    it(`are migrated offline ${migrateRoles ? "with" : "without"} roles`, async () => {
      const name = await database();
      const resource = new Resource();
      await resource.create(lab.inputs([name], { migrateRoles }));
      await assertSameContent(...lab.places(name));
      assert.equal(resource.status.state, "Succeeded");
    });

  it("are migrated online, and cut over", async () => {
    const name = await database();
    const resource = await lab.follow([name], { migrateRoles: true });
    await lab.source.query(hostileNames.map(changes).join("\n"), { database: name });
    await resource.update({ triggerCutover: true });
    await assertSameContent(...lab.places(name));
    assert.equal(resource.status.state, "Succeeded");
  });
});
