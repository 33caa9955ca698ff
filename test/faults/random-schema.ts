import type { Seeded } from "../support/seeded";

export interface RandomColumn {
  readonly name: string;
  readonly type: string;
  /** SQL expression with a different value for each row. */
  readonly value: string;
}

export interface RandomTable {
  /** Quoted if necessary. */
  readonly name: string;
  /** Columns of the key; empty if generated or missing. */
  readonly key: readonly RandomColumn[];
  readonly columns: readonly RandomColumn[];
  /** Has a deferrable constraint, which ON CONFLICT does not support. */
  readonly deferrable: boolean;
  /** Updates and deletes are replicated. */
  readonly changeable: boolean;
}

export interface RandomSchema {
  readonly ddl: string;
  /** Statements that insert the first rows. */
  readonly rows: string;
  readonly tables: readonly RandomTable[];
}

const whole = (bound: number): string => `(random() * ${bound})::int`;
const word = "md5(random()::text)";

/** Types with a value, or NULL, for each row. Equality is not everywhere, nor is a form that prints shorter than it is. */
const types: readonly (readonly [type: string, value: string, from?: number])[] = [
  ["int", whole(1e6)],
  ["bigint", "(random() * 9e18)::bigint"],
  ["numeric", "(random() * 1e9)::numeric * random()::numeric"],
  ["numeric(12,3)", "(random() * 1e8)::numeric(12,3)"],
  ["real", "random()::real"],
  ["float8", "CASE WHEN random() < 0.1 THEN '-Infinity' WHEN random() < 0.1 THEN 'NaN' ELSE random() * 1e300 END"],
  ["text", `CASE WHEN random() < 0.1 THEN '' WHEN random() < 0.1 THEN E'a\\tb\\nc\\\\N' ELSE ${word} END`],
  ["varchar(40)", word],
  ["char(8)", `left(${word}, ${whole(8)})`],
  ["bytea", `decode(${word} || '00ff5c', 'hex')`],
  ["boolean", "random() < 0.5"],
  ["date", `CASE WHEN random() < 0.1 THEN 'infinity' ELSE date '0044-03-15 BC' + ${whole(900000)} END`],
  ["timestamp", "timestamp '1999-12-31 23:59:59.999999' + random() * interval '9000 days'"],
  ["timestamptz", "timestamptz '2024-03-31 01:30:00+01' + random() * interval '900 days'"],
  ["time", "time '00:00' + random() * interval '24 hours'"],
  ["interval", "random() * interval '1 year 3 days 04:05:06.7'"],
  ["uuid", `${word}::uuid`],
  ["json", `('{"b":  ' || ${whole(100)} || ', "a": [1, null]}')::json`],
  ["jsonb", `('{"b":  ' || random() || ', "a": "' || ${word} || '"}')::jsonb`],
  ["int[]", `ARRAY[${whole(9)}, NULL, ${whole(9)}]`],
  ["text[]", `ARRAY[[${word}, 'a,"b\\'], ['NULL', NULL]]`],
  ["int4range", `int4range(${whole(10)}, 11 + ${whole(10)})`],
  ["inet", `('10.1.' || ${whole(255)} || '.0/24')::inet`],
  ["point", "point(random(), random())"],
  ["xml", `('<a b="' || ${whole(99)} || '"/>')::xml`],
  ["bit(7)", `${whole(127)}::bit(7)`],
  ["money", `${whole(1e6)}::money`],
  ["tsvector", `to_tsvector('simple', ${word} || ' x')`],
  ["mood", "(ARRAY['sad', 'ok', 'it''s']::mood[])[1 + (random() * 2)::int]"],
  ["pair", `ROW(${whole(9)}, ${word})::pair`],
  ["short", `left(${word}, 5)::short`],
];

const prelude = `
  CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s');
  CREATE TYPE pair AS (a int, b text);
  CREATE DOMAIN short AS varchar(5) CHECK (value <> 'never');`;

type KeyKind =
  "int" | "composite" | "text" | "uuid" | "index" | "full" | "fullKeyed" | "always" | "nothing" | "deferrable";
const keyKinds: readonly KeyKind[] = [
  ...(["int", "composite", "text", "uuid", "index", "full", "fullKeyed", "always", "nothing", "deferrable"] as const),
];

/** Tables with rows. Each schema has every kind of key once, with random columns. */
export function randomSchema(random: Seeded, major: number): RandomSchema {
  const tables = keyKinds.map((kind, number) => randomTable(random, kind, number, major));
  return {
    tables: tables.map(({ table }) => table),
    ddl: [prelude, ...tables.map(({ ddl }) => ddl), extras].join("\n"),
    rows: tables.map(({ table }) => insertRows(table, 40 + random.below(200))).join("\n"),
  };
}

/** A table that a trigger writes, and a table with a foreign key. */
const extras = `
  CREATE TABLE audit (id bigserial PRIMARY KEY, said text);
  CREATE FUNCTION audit_it() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO public.audit (said) VALUES (TG_OP); RETURN NULL; END $$;
  CREATE TRIGGER audited AFTER INSERT OR DELETE ON t0 FOR EACH ROW EXECUTE PROCEDURE audit_it();
  CREATE TABLE refers (id serial PRIMARY KEY, t int REFERENCES t0 (id) ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED);`;

export const insertRows = ({ name, columns, deferrable }: RandomTable, rows: number): string =>
  `INSERT INTO ${name} (${columns.map((column) => column.name).join(", ")})
     SELECT ${columns.map(({ value }) => value).join(", ")} FROM generate_series(1, ${rows}) i${deferrable ? "" : " ON CONFLICT DO NOTHING"};`;

function randomTable(
  random: Seeded,
  kind: KeyKind,
  number: number,
  major: number,
): { table: RandomTable; ddl: string } {
  const isReferredTo = number === 0;
  const plain = `t${number}`;
  const name = !isReferredTo && random.oneIn(4) ? `"T ${number}"` : plain;
  const partitioned = !isReferredTo && ["composite", "text", "uuid"].includes(kind) && major >= 11 && random.oneIn(2);
  const hasSeat = !isReferredTo && ["always", "full", "uuid"].includes(kind) && !partitioned && random.oneIn(2);
  const key = keyColumns(kind);
  const columns = [...key, ...randomColumns(random), ...(hasSeat ? [seat] : []), big];
  const keyNames = (kind === "always" ? ["id"] : key.map((column) => column.name)).join(", ");
  const definitions = columns.map((column) => `${column.name} ${column.type}`);
  if (kind === "always") definitions.unshift(major >= 10 ? "id int GENERATED ALWAYS AS IDENTITY" : "id serial");
  const isComputed = major >= 12 && random.oneIn(2);
  if (isComputed) definitions.push("computed text GENERATED ALWAYS AS (left(big, 10) || 'x') STORED");
  if (!["full", "index", "nothing"].includes(kind))
    definitions.push(`PRIMARY KEY (${keyNames})${kind === "deferrable" ? " DEFERRABLE" : ""}`);
  const isFull = kind === "full" || kind === "fullKeyed";
  const ddl = [
    `CREATE TABLE ${name} (${definitions.join(", ")})${partitioned ? ` PARTITION BY HASH (${keyNames})` : ""};`,
    partitioned ? hashPartitions(name, plain) : `ALTER TABLE ${name} ALTER big SET STORAGE EXTERNAL;`,
    kind === "index"
      ? `CREATE UNIQUE INDEX ${plain}_ri ON ${name} (k); ALTER TABLE ${name} REPLICA IDENTITY USING INDEX ${plain}_ri;`
      : "",
    isFull ? `ALTER TABLE ${name} REPLICA IDENTITY FULL;` : "",
  ];
  const changeable = kind !== "nothing" && kind !== "deferrable";
  const deferrable = hasSeat || kind === "deferrable";
  return { table: { name, key, columns, deferrable, changeable }, ddl: ddl.join("\n") };
}

const seat: RandomColumn = { name: "seat", type: "int UNIQUE DEFERRABLE INITIALLY DEFERRED", value: whole(2e9) };
const big: RandomColumn = {
  name: "big",
  type: "text",
  value: `CASE WHEN random() < 0.5 THEN repeat(${word}, 40 + ${whole(90)}) END`,
};

const randomColumns = (random: Seeded): RandomColumn[] =>
  Array.from({ length: 2 + random.below(6) }, (_, index) => {
    const [type, value] = random.pick(types);
    return { name: `c${index}`, type, value: `CASE WHEN random() < 0.85 THEN ${value} END` };
  });

const hashPartitions = (table: string, plain: string): string =>
  [0, 1, 2]
    .map(
      (rest) => `CREATE TABLE ${plain}_p${rest} PARTITION OF ${table} FOR VALUES WITH (MODULUS 3, REMAINDER ${rest});`,
    )
    .join("\n");

function keyColumns(kind: KeyKind): RandomColumn[] {
  switch (kind) {
    case "int":
    case "fullKeyed":
      return [{ name: "id", type: "int", value: whole(5000) }];
    case "deferrable":
      return [{ name: "id", type: "int", value: whole(2e9) }];
    case "composite":
      return [
        { name: "a", type: "int", value: whole(100) },
        { name: "b", type: "varchar(10)", value: `left(${word}, 3)` },
      ];
    case "text":
      return [{ name: "k", type: "text", value: `left(${word}, 4)` }];
    case "uuid":
      return [{ name: "k", type: "uuid", value: `${word}::uuid` }];
    case "index":
      return [{ name: "k", type: "bigint NOT NULL", value: whole(5000) }];
    default:
      return [];
  }
}
