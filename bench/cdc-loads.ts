/** Changes that wait in a slot. The goals are stated for scale 1. */
export interface Load {
  readonly name: string;
  /** Tables and rows as of the slot. */
  readonly tables: (scale: number) => string;
  /** Calls of procedures that `tables` creates. All run concurrently, each in a separate session. */
  readonly calls: (scale: number) => readonly string[];
  /** The delay of requests from the follower to the target, or from a subscription to the source. */
  readonly delayMs?: number;
}

const count = (scale: number, rows: number): number => Math.max(1, Math.round(rows * scale));

const several = (sessions: number, call: (session: number) => string): string[] =>
  Array.from({ length: sessions }, (_, session) => call(session + 1));

/** pgbench's tables at scale 50. */
const pgbenchTables = (scale: number): string => `
    CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));
    CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84));
    CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84)) WITH (fillfactor = 100);
    CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
    INSERT INTO pgbench_branches SELECT i, 0 FROM generate_series(1, 50) i;
    INSERT INTO pgbench_tellers SELECT i, (i - 1) / 10 + 1, 0 FROM generate_series(1, 500) i;
    INSERT INTO pgbench_accounts SELECT i, (i - 1) / 100000 + 1, 0, '' FROM generate_series(1, ${count(scale, 5_000_000)}) i;`;

/** pgbench's script `simple-update` (`-N`), as statements of a procedure. */
const simpleUpdate = (scale: number): string => `
        account := 1 + floor(random() * ${count(scale, 5_000_000)});
        delta := floor(random() * 10001) - 5000;
        UPDATE pgbench_accounts SET abalance = abalance + delta WHERE aid = account;
        PERFORM abalance FROM pgbench_accounts WHERE aid = account;
        INSERT INTO pgbench_history (tid, bid, aid, delta, mtime)
          VALUES (1 + floor(random() * 500), 1 + floor(random() * 50), account, delta, CURRENT_TIMESTAMP);
        COMMIT;`;

/** The tables of `sustained`, and a procedure that writes for some seconds and returns the number of its transactions. */
export const sustainedTables = (scale: number): string => `${pgbenchTables(scale)}
    CREATE TABLE heartbeat (id int PRIMARY KEY, beat int, at timestamptz, lsn pg_lsn);
    INSERT INTO heartbeat VALUES (1, 0, clock_timestamp(), pg_current_wal_insert_lsn());
    CREATE PROCEDURE write(session int, seconds float8, INOUT transactions bigint) LANGUAGE plpgsql AS $$
    DECLARE account int; delta int; ends timestamptz := clock_timestamp() + seconds * interval '1 second';
    BEGIN
      PERFORM setseed(session / 100.0);
      COMMIT;
      WHILE clock_timestamp() < ends LOOP${simpleUpdate(scale)}
        transactions := transactions + 1;
      END LOOP;
    END $$`;

const pgbench: Omit<Load, "name"> = {
  tables: (scale) => `${pgbenchTables(scale)}
    CREATE PROCEDURE load(session int, transactions int) LANGUAGE plpgsql AS $$
    DECLARE account int; delta int;
    BEGIN
      PERFORM setseed(session / 100.0);
      COMMIT;
      FOR n IN 1..transactions LOOP${simpleUpdate(scale)}
      END LOOP;
    END $$`,
  calls: (scale) => several(4, (session) => `CALL load(${session}, ${count(scale, 50_000)})`),
};

export const loads: readonly Load[] = [
  { name: "pgbench", ...pgbench },
  { name: "pgbench over 10 ms", ...pgbench, delayMs: 10 },
  {
    name: "wide inserts",
    tables: () => `
      CREATE TABLE wide (id bigserial PRIMARY KEY, kind int, state smallint, at timestamptz, day date, code uuid, amount numeric(12, 2),
        rate float8, done boolean, name text, mail varchar(200), street text, city text, country char(2), note text, tags text[],
        doc jsonb, n1 int, n2 int, n3 bigint, n4 bigint, t1 text, t2 text, t3 text, t4 timestamp, t5 timestamp);
      CREATE INDEX ON wide (at); CREATE INDEX ON wide (code);
      CREATE PROCEDURE load(session int, transactions int) LANGUAGE plpgsql AS $$
      BEGIN
        FOR n IN 1..transactions LOOP
          INSERT INTO wide (kind, state, at, day, code, amount, rate, done, name, mail, street, city, country, note, tags, doc,
                            n1, n2, n3, n4, t1, t2, t3, t4, t5)
            SELECT i % 10, i, clock_timestamp(), current_date - n % 1000, md5(session || ':' || n || ':' || i)::uuid, n / 7.0, n / 11.0::float8, n % 2 = 0,
                   'name ' || n, 'mail' || n || '@example.org', n || ' Long Street', 'City ' || n % 100, 'CH', repeat('note ', 10 + n % 20),
                   ARRAY['a', 'b' || n], jsonb_build_object('n', n, 'i', i, 'text', md5(n::text)),
                   n, NULL, n * 1000000000::bigint, session, md5(n::text), NULL, E'tab\\tand\\nline', clock_timestamp(), NULL
              FROM generate_series(1, 10) i;
          COMMIT;
        END LOOP;
      END $$`,
    calls: (scale) => several(2, (session) => `CALL load(${session}, ${count(scale, 10_000)})`),
  },
  {
    name: "hot keys",
    tables: () => `
      CREATE TABLE counter (id int PRIMARY KEY, hits bigint, seen timestamptz, note text);
      INSERT INTO counter SELECT i, 0, timestamptz '2024-01-01', md5(i::text) FROM generate_series(1, 100000) i;
      CREATE PROCEDURE load(session int, transactions int) LANGUAGE plpgsql AS $$
      BEGIN
        FOR n IN 1..transactions LOOP
          FOR u IN 1..5 LOOP
            UPDATE counter SET hits = hits + 1, seen = clock_timestamp() WHERE id = (n * 7 + u * 13) % 100 * 2 + session;
          END LOOP;
          COMMIT;
        END LOOP;
      END $$`,
    calls: (scale) => several(2, (session) => `CALL load(${session}, ${count(scale, 20_000)})`),
  },
  {
    name: "one large transaction",
    tables: (scale) => `
      CREATE TABLE ledger (id bigint PRIMARY KEY, account int, amount numeric, at timestamptz, note text);
      INSERT INTO ledger SELECT i, i % 1000, i / 100.0, timestamptz '2024-01-01' + i * interval '1 second', 'entry ' || i
        FROM generate_series(1, ${count(scale, 1_000_000)}) i;
      CREATE PROCEDURE load(changes int) LANGUAGE sql AS $$
        UPDATE ledger SET amount = amount + 1 WHERE id <= changes / 2;
        INSERT INTO ledger SELECT 10000000 + i, i % 1000, i / 100.0, timestamptz '2025-01-01' + i * interval '1 second', 'late ' || i
          FROM generate_series(1, changes / 2) i;
      $$`,
    calls: (scale) => [`CALL load(${count(scale, 2_000_000)})`],
  },
];
