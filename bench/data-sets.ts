import type { EmbeddedServer } from "../test/support/servers/embedded-server";

/** A database to migrate. The goals are stated for scale 1. */
export interface DataSet {
  readonly name: string;
  readonly sql: (scale: number) => string;
  /** The delay of requests from the contenders to either server. */
  readonly delayMs?: number;
  /** In what the cost is stated. */
  readonly unit?: Unit;
}

/** What a database has many of. */
export type Unit = "GB" | "table" | "partition";

const count = (scale: number, rows: number): number => Math.max(1, Math.round(rows * scale));

/** A few large tables, and twenty small ones: 1.2 GB at scale 1. */
const tables = (scale: number): string => `
  CREATE TABLE narrow (id int PRIMARY KEY, a int, b float8);
  INSERT INTO narrow SELECT i, i % 1000, i / 7.0 FROM generate_series(1, ${count(scale, 5_000_000)}) i;
  CREATE TABLE wide (id bigint PRIMARY KEY, kind int, at timestamptz, name text, note text, amount numeric);
  INSERT INTO wide SELECT i, i % 100, timestamptz '2020-01-01' + i * interval '1 minute', md5(i::text), repeat(md5((i * 7)::text), 8), i / 100.0
    FROM generate_series(1, ${count(scale, 1_500_000)}) i;
  CREATE INDEX ON wide (name); CREATE INDEX ON wide (at); CREATE INDEX ON wide (kind, amount);
  DO $$ BEGIN FOR n IN 1..20 LOOP
    EXECUTE format('CREATE TABLE small_%s AS SELECT i AS id, md5(i::text) AS v FROM generate_series(1, 1000) i', n);
    EXECUTE format('ALTER TABLE small_%s ADD PRIMARY KEY (id)', n);
  END LOOP; END $$`;

/** Many small tables. */
const catalogue = (count: number): string => `
  DO $$ BEGIN FOR n IN 1..${count} LOOP
    EXECUTE format('CREATE TABLE t_%s (id int PRIMARY KEY, v text)', n);
    EXECUTE format('INSERT INTO t_%s VALUES (1, ''one'')', n);
    IF n % 1000 = 0 THEN COMMIT; END IF;
  END LOOP; END $$`;

/** One table with many partitions. */
const partitions = (count: number): string => `
  DO $$ BEGIN
  CREATE TABLE measured (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
  FOR n IN 1..${count} LOOP
    EXECUTE format('CREATE TABLE measured_%s PARTITION OF measured FOR VALUES FROM (%s) TO (%s)', n, n, n + 1);
    EXECUTE format('INSERT INTO measured_%s VALUES (%s, ''one'')', n, n);
    IF n % 1000 = 0 THEN COMMIT; END IF;
  END LOOP; END $$`;

export const dataSets: readonly DataSet[] = [
  { name: "tables", sql: tables },
  { name: "catalogue", sql: (scale) => catalogue(count(scale, 5000)) },
  {
    name: "toast",
    sql: (scale) => `
      CREATE TABLE documents (id int PRIMARY KEY, body text); ALTER TABLE documents ALTER body SET STORAGE EXTERNAL;
      INSERT INTO documents SELECT i, repeat(md5(i::text), 3000) FROM generate_series(1, ${count(scale, 3000)}) i`,
  },
];

/** The first two sets, with a round trip of 20 ms to either server. */
export const farSets: readonly DataSet[] = dataSets
  .filter(({ name }) => name !== "toast")
  .map((set) => ({ ...set, delayMs: 20 }));

/** Databases that differ only in their size. */
export const linearSets: readonly DataSet[] = [
  ...[1, 5, 20].map((size): DataSet => ({
    name: `${size} GB`,
    unit: "GB",
    sql: (scale) => tables((scale * size) / 1.2),
  })),
  ...[1000, 5000, 20_000].map((size): DataSet => ({
    name: `${size} tables`,
    unit: "table",
    sql: (scale) => catalogue(count(scale, size)),
  })),
  ...[1000, 10_000].map((size): DataSet => ({
    name: `${size} partitions`,
    unit: "partition",
    sql: (scale) => partitions(count(scale, size)),
  })),
];

/** A number of units. */
export interface Units {
  readonly unit: Unit;
  readonly count: number;
}

const unitCounts: Readonly<Record<Unit, string>> = {
  GB: "SELECT pg_database_size(current_database()) / 1e9 AS count",
  table: "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
  partition: "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relispartition",
};

/** How many units a database has; undefined if the cost of its set is not stated in units. */
export async function unitsOf({ unit }: DataSet, server: EmbeddedServer, database: string): Promise<Units | undefined> {
  if (unit === undefined) return undefined;
  const [row] = await server.query<{ count: string }>(unitCounts[unit], { database });
  return { unit, count: Number(row!.count) };
}
