import type { EmbeddedServer } from "../support/servers/embedded-server";
import type { Seeded } from "../support/seeded";

const rows = 20_000;

/** A table of some megabytes, which is copied in parts. */
export const bulkTable = `
  CREATE TABLE bulk (id serial PRIMARY KEY, n int, v text);
  INSERT INTO bulk (n, v) SELECT i % 100, repeat(md5(i::text), 8) FROM generate_series(1, ${rows}) i;
  CREATE INDEX ON bulk (n); CREATE INDEX ON bulk (v);
  CREATE STATISTICS related ON n, id FROM bulk;`;

const rowsOfOne = 1000;
const transactions = 45;

/** Writes more WAL than a starting stream reads from a walsender. */
export async function writeBacklog(source: EmbeddedServer, database: string): Promise<void> {
  const client = await source.connect(database);
  try {
    for (let one = 0; one < transactions; one++) {
      const first = (one * rowsOfOne) % rows;
      await client.query("UPDATE bulk SET v = repeat(md5(v), 8), n = n + 1 WHERE id > $1 AND id <= $2", [
        first,
        first + rowsOfOne,
      ]);
    }
  } finally {
    await client.end();
  }
}

/** DDL that is replicated. */
const changes = (major: number): readonly ((name: string) => string)[] => [
  (name) => `ALTER TABLE t0 ADD COLUMN IF NOT EXISTS ${name} int`,
  // Before 11, a default rewrites all rows, which pauses the stream.
  (name) => `ALTER TABLE bulk ADD COLUMN IF NOT EXISTS ${name} text ${major >= 11 ? "DEFAULT 'late'" : ""}`,
  (name) => `CREATE INDEX IF NOT EXISTS ${name} ON audit (said)`,
  (name) => `CREATE STATISTICS IF NOT EXISTS ${name} ON id, said FROM audit`,
  (name) => `CREATE TABLE IF NOT EXISTS ${name} (id serial PRIMARY KEY, v text);
             INSERT INTO ${name} (v) SELECT 'late' FROM generate_series(1, 50)`,
];

/** Runs random DDL once. A restart or a lock may prevent it. */
export async function changeSchema(
  source: EmbeddedServer,
  database: string,
  number: number,
  random: Seeded,
): Promise<void> {
  const sql = random.pick(changes(source.major))(`late_${number}`);
  await source.query(`SET lock_timeout = '5s'; ${sql}`, { database }).catch((error: unknown) => {
    if (!/^(55P03|40P01|57P|08)/.test((error as { code?: string }).code ?? "08")) throw error;
  });
}
