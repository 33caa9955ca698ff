/** A database to migrate. The goals are stated for scale 1. */
export interface DataSet {
  readonly name: string;
  readonly sql: (scale: number) => string;
}

const count = (scale: number, rows: number): number => Math.max(1, Math.round(rows * scale));

export const dataSets: readonly DataSet[] = [
  {
    name: "tables",
    sql: (scale) => `
      CREATE TABLE narrow (id int PRIMARY KEY, a int, b float8);
      INSERT INTO narrow SELECT i, i % 1000, i / 7.0 FROM generate_series(1, ${count(scale, 5_000_000)}) i;
      CREATE TABLE wide (id bigint PRIMARY KEY, kind int, at timestamptz, name text, note text, amount numeric);
      INSERT INTO wide SELECT i, i % 100, timestamptz '2020-01-01' + i * interval '1 minute', md5(i::text), repeat(md5((i * 7)::text), 8), i / 100.0
        FROM generate_series(1, ${count(scale, 1_500_000)}) i;
      CREATE INDEX ON wide (name); CREATE INDEX ON wide (at); CREATE INDEX ON wide (kind, amount);
      DO $$ BEGIN FOR n IN 1..20 LOOP
        EXECUTE format('CREATE TABLE small_%s AS SELECT i AS id, md5(i::text) AS v FROM generate_series(1, 1000) i', n);
        EXECUTE format('ALTER TABLE small_%s ADD PRIMARY KEY (id)', n);
      END LOOP; END $$`,
  },
  {
    name: "catalogue",
    sql: (scale) => `
      DO $$ BEGIN FOR n IN 1..${count(scale, 5000)} LOOP
        EXECUTE format('CREATE TABLE t_%s (id int PRIMARY KEY, v text)', n);
        EXECUTE format('INSERT INTO t_%s VALUES (1, ''one'')', n);
        IF n % 1000 = 0 THEN COMMIT; END IF;
      END LOOP; END $$`,
  },
  {
    name: "toast",
    sql: (scale) => `
      CREATE TABLE documents (id int PRIMARY KEY, body text); ALTER TABLE documents ALTER body SET STORAGE EXTERNAL;
      INSERT INTO documents SELECT i, repeat(md5(i::text), 3000) FROM generate_series(1, ${count(scale, 3000)}) i`,
  },
];
