/** One kind of object for {@link changesOfEveryKind}. */
interface KindOfObject {
  /** As in the rule table. */
  readonly kind: string;
  /** The word of commands. By default the kind in capitals. */
  readonly word?: string;
  /** The first definition, or another one. */
  readonly create: (name: string, isOther: boolean) => string;
  /** What follows the word in other commands. By default the qualified name. */
  readonly reference?: (name: string, schema: string) => string;
  /** Changes it in place, to the other definition or back. */
  readonly alter?: (name: string, isOther: boolean) => string;
  /** Changes that the server does not have for this kind. */
  readonly lacks?: readonly Change[];
  /** What becomes of the target's object if the source drops it. */
  readonly dropped: "dropped" | "kept";
}

const changes = ["created", "altered", "renamed", "dropped", "moved", "given", "commented", "granted"] as const;
type Change = (typeof changes)[number];

const onTable = (name: string): string => `"${name}" ON base`;
const onParted = (name: string): string => `"${name}" ON parted`;
const parts: readonly Change[] = ["moved", "given", "granted"];

/** Every kind that the administrator of the target may create. Names are unique among all kinds. */
export const kindsOfObjects: readonly KindOfObject[] = [
  {
    kind: "schema",
    create: (name) => `CREATE SCHEMA "${name}"`,
    reference: (name) => `"${name}"`,
    lacks: ["altered", "moved"],
    dropped: "kept",
  },
  {
    kind: "table",
    create: (name, isOther) =>
      `CREATE TABLE "${name}" (id int PRIMARY KEY${isOther ? ", v text" : ""}); INSERT INTO "${name}" VALUES (1)`,
    alter: (name, isOther) => `ALTER TABLE "${name}" ${isOther ? "SET (fillfactor = 50)" : "RESET (fillfactor)"}`,
    dropped: "dropped",
  },
  {
    kind: "check constraint",
    word: "CONSTRAINT",
    create: (name, isOther) => `ALTER TABLE base ADD CONSTRAINT "${name}" CHECK (id > ${isOther ? -2 : -1})`,
    reference: onTable,
    lacks: ["altered", ...parts],
    dropped: "dropped",
  },
  {
    kind: "unique constraint",
    word: "CONSTRAINT",
    create: (name, isOther) => `ALTER TABLE base ADD CONSTRAINT "${name}" UNIQUE (id${isOther ? ", v" : ""})`,
    reference: onTable,
    lacks: ["altered", ...parts],
    dropped: "dropped",
  },
  {
    kind: "foreign key",
    word: "CONSTRAINT",
    create: (name) => `ALTER TABLE base ADD CONSTRAINT "${name}" FOREIGN KEY (id) REFERENCES base`,
    reference: onTable,
    lacks: parts,
    alter: (name, isOther) =>
      `ALTER TABLE base ALTER CONSTRAINT "${name}" ${isOther ? "DEFERRABLE" : "NOT DEFERRABLE"}`,
    dropped: "dropped",
  },
  {
    kind: "index",
    create: (name, isOther) => `CREATE INDEX "${name}" ON base (id${isOther ? " DESC" : ""})`,
    alter: (name, isOther) => `ALTER INDEX "${name}" ${isOther ? "SET (fillfactor = 50)" : "RESET (fillfactor)"}`,
    lacks: parts,
    dropped: "dropped",
  },
  {
    kind: "trigger",
    create: (name, isOther) =>
      `CREATE TRIGGER "${name}" AFTER ${isOther ? "DELETE" : "INSERT"} ON parted FOR EACH ROW EXECUTE FUNCTION fires()`,
    alter: (name, isOther) => `ALTER TABLE parted ${isOther ? "DISABLE" : "ENABLE"} TRIGGER "${name}"`,
    reference: onParted,
    lacks: parts,
    dropped: "dropped",
  },
  {
    kind: "rule",
    create: (name, isOther) =>
      `CREATE RULE "${name}" AS ON ${isOther ? "DELETE" : "UPDATE"} TO base WHERE false DO INSTEAD NOTHING`,
    alter: (name, isOther) => `ALTER TABLE base ${isOther ? "DISABLE" : "ENABLE"} RULE "${name}"`,
    reference: onTable,
    lacks: parts,
    dropped: "dropped",
  },
  {
    kind: "policy",
    create: (name, isOther) => `CREATE POLICY "${name}" ON parted USING (id > ${isOther ? 1 : 2})`,
    alter: (name, isOther) => `ALTER POLICY "${name}" ON parted USING (id > ${isOther ? 3 : 2})`,
    reference: onParted,
    lacks: parts,
    dropped: "dropped",
  },
  {
    kind: "type",
    create: (name, isOther) => `CREATE TYPE "${name}" AS (a int${isOther ? ", b int" : ""})`,
    alter: (name, isOther) => `ALTER TYPE "${name}" ALTER ATTRIBUTE a TYPE ${isOther ? "bigint" : "int"}`,
    dropped: "kept",
  },
  {
    kind: "domain",
    create: (name, isOther) => `CREATE DOMAIN "${name}" AS int DEFAULT ${isOther ? 1 : 2}`,
    alter: (name, isOther) => `ALTER DOMAIN "${name}" ${isOther ? "SET" : "DROP"} NOT NULL`,
    dropped: "kept",
  },
  {
    kind: "sequence",
    create: (name, isOther) => `CREATE SEQUENCE "${name}" INCREMENT ${isOther ? 2 : 1}`,
    alter: (name, isOther) => `ALTER SEQUENCE "${name}" INCREMENT ${isOther ? 5 : 1}`,
    dropped: "kept",
  },
  {
    kind: "function",
    create: (name, isOther) => `CREATE FUNCTION "${name}"() RETURNS int LANGUAGE sql AS 'SELECT ${isOther ? 1 : 2}'`,
    alter: (name, isOther) =>
      `CREATE OR REPLACE FUNCTION "${name}"() RETURNS int LANGUAGE sql AS 'SELECT ${isOther ? 3 : 2}'`,
    reference: (name, schema) => `${schema}."${name}"()`,
    dropped: "kept",
  },
  {
    kind: "procedure",
    create: (name, isOther) => `CREATE PROCEDURE "${name}"() LANGUAGE sql AS 'SELECT ${isOther ? 1 : 2}'`,
    alter: (name, isOther) => `CREATE OR REPLACE PROCEDURE "${name}"() LANGUAGE sql AS 'SELECT ${isOther ? 3 : 2}'`,
    reference: (name, schema) => `${schema}."${name}"()`,
    dropped: "kept",
  },
  {
    kind: "aggregate",
    create: (name, isOther) =>
      `CREATE AGGREGATE "${name}"(int) (SFUNC = int4pl, STYPE = int, INITCOND = '${isOther ? 1 : 2}')`,
    reference: (name, schema) => `${schema}."${name}"(int)`,
    lacks: ["altered"],
    dropped: "kept",
  },
  {
    kind: "view",
    create: (name, isOther) => `CREATE VIEW "${name}" AS SELECT id FROM base WHERE id = ${isOther ? 1 : 2}`,
    alter: (name, isOther) => `CREATE OR REPLACE VIEW "${name}" AS SELECT id FROM base WHERE id = ${isOther ? 3 : 2}`,
    dropped: "kept",
  },
  {
    kind: "materialized view",
    create: (name) => `CREATE MATERIALIZED VIEW "${name}" AS SELECT id FROM base`,
    alter: (name, isOther) =>
      `ALTER MATERIALIZED VIEW "${name}" ${isOther ? "SET (fillfactor = 50)" : "RESET (fillfactor)"}`,
    dropped: "kept",
  },
  {
    kind: "statistics",
    create: (name, isOther) => `CREATE STATISTICS "${name}"${isOther ? " (ndistinct)" : ""} ON id, v FROM base`,
    alter: (name, isOther) => `ALTER STATISTICS "${name}" SET STATISTICS ${isOther ? 9 : -1}`,
    lacks: ["granted"],
    dropped: "kept",
  },
  {
    kind: "operator",
    create: (name, isOther) =>
      `CREATE OPERATOR ${operator(name)} (FUNCTION = ${isOther ? "int4ne" : "int4eq"}, LEFTARG = int, RIGHTARG = int)`,
    alter: (name, isOther) =>
      `ALTER OPERATOR ${operator(name)} (int, int) SET (RESTRICT = ${isOther ? "eqsel" : "NONE"})`,
    reference: (name, schema) => `${schema}.${operator(name)} (int, int)`,
    lacks: ["renamed", "granted"],
    dropped: "kept",
  },
  {
    kind: "collation",
    create: (name, isOther) => `CREATE COLLATION "${name}" (LOCALE = '${isOther ? "POSIX" : "C"}')`,
    lacks: ["altered", "granted"],
    dropped: "kept",
  },
  {
    kind: "conversion",
    create: (name) => `CREATE CONVERSION "${name}" FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8`,
    lacks: ["altered", "granted"],
    dropped: "kept",
  },
  {
    kind: "text search configuration",
    create: (name) => `CREATE TEXT SEARCH CONFIGURATION "${name}" (COPY = simple)`,
    alter: (name, isOther) =>
      `ALTER TEXT SEARCH CONFIGURATION "${name}" ALTER MAPPING FOR word WITH ${isOther ? "english_stem" : "simple"}`,
    lacks: ["granted"],
    dropped: "kept",
  },
  {
    kind: "text search dictionary",
    create: (name) => `CREATE TEXT SEARCH DICTIONARY "${name}" (TEMPLATE = simple, Accept = false)`,
    alter: (name, isOther) => `ALTER TEXT SEARCH DICTIONARY "${name}" (Accept = ${isOther})`,
    lacks: ["granted"],
    dropped: "kept",
  },
];

/** Operators are named by signs, and are never renamed. */
const operator = (name: string): string => `@${"=<>~!#%&"[changes.findIndex((change) => name.endsWith(change))]!}@`;

/** How often each object is changed. `back`: the second time to its former state. */
export const repetitions = ["once", "twice", "back"] as const;
export type Repetition = (typeof repetitions)[number];

export interface ChangesOfEveryKind {
  /** Creates all objects before the migration. */
  readonly before: string;
  /** Each step is run on the source after the target has taken the one before. */
  readonly steps: readonly string[];
  /** The objects that the target keeps, as findings name them. */
  readonly kept: readonly string[];
}

/** What the changes of every kind need. */
export const sharedObjects = `
  CREATE SCHEMA moved_once; CREATE SCHEMA moved_twice;
  CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
  CREATE TABLE base (id int PRIMARY KEY, v text); GRANT SELECT ON base TO one_owner, other_owner; INSERT INTO base SELECT i, 'v' FROM generate_series(0, 3) i;
  CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY LIST (id);
  CREATE TABLE part PARTITION OF parted FOR VALUES IN (0, 1); CREATE TABLE rest PARTITION OF parted DEFAULT;
  INSERT INTO parted SELECT i, 'v' FROM generate_series(0, 3) i; ALTER TABLE parted ENABLE ROW LEVEL SECURITY;
  CREATE TRIGGER stays AFTER INSERT ON parted FOR EACH ROW EXECUTE FUNCTION fires(); CREATE POLICY stays ON parted USING (true)`;

/** Statements for all kinds of objects, and what the target has afterwards by the rule table. */
export function changesOfEveryKind(repetition: Repetition, kinds = kindsOfObjects): ChangesOfEveryKind {
  const all = kinds.flatMap((kind) =>
    changes.filter((change) => !kind.lacks?.includes(change)).map((change) => changesOf(kind, change, repetition)),
  );
  const step = (at: number): string => all.map(({ steps }) => steps[at]!).join(";\n");
  return {
    before: [sharedObjects, ...all.map(({ before }) => before)].join(";\n"),
    steps: repetition === "once" ? [step(0)] : [step(0), step(1)],
    kept: all.flatMap(({ kept }) => kept).sort(),
  };
}

function changesOf(of: KindOfObject, change: Change, repetition: Repetition): ChangesOfEveryKind {
  const { kind, word = kind.toUpperCase(), create, reference, alter, dropped } = of;
  const name = `${kind} ${change}`;
  const called = (one: string, schema = "public"): string => reference?.(one, schema) ?? `${schema}."${one}"`;
  const command = (verb: string, one = name, schema?: string): string => `${verb} ${word} ${called(one, schema)}`;
  const isPart = word === "CONSTRAINT";
  const rename = (from: string, to: string): string =>
    isPart
      ? `ALTER TABLE base RENAME CONSTRAINT "${from}" TO "${to}"`
      : word === "RULE" || word === "POLICY" || word === "TRIGGER"
        ? `ALTER ${word} ${called(from)} RENAME TO "${to}"`
        : `${command("ALTER", from)} RENAME TO "${to}"`;
  const drop = isPart ? `ALTER TABLE base DROP CONSTRAINT "${name}"` : command("DROP");
  const isTwice = repetition === "twice";
  const privileges =
    {
      function: "EXECUTE",
      procedure: "EXECUTE",
      aggregate: "EXECUTE",
      schema: "USAGE",
      type: "USAGE",
      domain: "USAGE",
      sequence: "USAGE",
    }[kind] ?? "SELECT";
  const grantee = word === "AGGREGATE" ? "FUNCTION" : word === "MATERIALIZED VIEW" || word === "VIEW" ? "TABLE" : word;
  const [once, next] = ((): [string, string] => {
    switch (change) {
      case "created":
        return [create(name, false), isTwice ? `${drop}; ${create(name, true)}` : drop];
      case "altered":
        return [
          (alter ?? create)(name, true),
          isTwice ? `${command("COMMENT ON")} IS 'altered'` : (alter ?? create)(name, false),
        ];
      case "renamed":
        return [rename(name, `${name} once`), rename(`${name} once`, isTwice ? `${name} twice` : name)];
      case "dropped":
        return [drop, isTwice ? `${create(name, true)}; ${drop}` : create(name, false)];
      case "moved":
        return [
          `${command("ALTER")} SET SCHEMA moved_once`,
          `${command("ALTER", name, "moved_once")} SET SCHEMA ${isTwice ? "moved_twice" : "public"}`,
        ];
      case "given":
        return [
          `${command("ALTER")} OWNER TO one_owner`,
          `${command("ALTER")} OWNER TO ${isTwice ? "other_owner" : "postgres"}`,
        ];
      case "commented":
        return [
          `${command("COMMENT ON")} IS 'once'`,
          `${command("COMMENT ON")} IS ${isTwice ? "'it''s twice'" : "NULL"}`,
        ];
      case "granted": {
        const grant = (verb: string, role: string): string =>
          `${verb} ${privileges} ON ${grantee} ${called(name)} ${verb === "GRANT" ? "TO" : "FROM"} ${role}`;
        return [grant("GRANT", "one_owner"), isTwice ? grant("GRANT", "other_owner") : grant("REVOKE", "one_owner")];
      }
    }
  })();
  const before = change === "created" ? "SELECT 1" : create(name, false);
  const keeps = (one: string): string => `${kind} ${identityOf(of, one, "public")}`;
  const kept = ((): string[] => {
    if (change === "dropped" && repetition !== "back") return dropped === "kept" ? [keeps(name)] : [];
    if (change === "created") return dropped === "kept" && repetition === "back" ? [keeps(name)] : [];
    return [];
  })();
  return { before, steps: [once, next], kept };
}

function identityOf({ kind, reference }: KindOfObject, name: string, schema: string): string {
  if (kind === "schema") return `"${name}"`;
  if (kind === "operator") return `${schema}.${operator(name)}(integer,integer)`;
  return (reference?.(name, schema) ?? `${schema}."${name}"`).replace("(int)", "(integer)");
}
