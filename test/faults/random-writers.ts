import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { from as copyFrom } from "pg-copy-streams";
import type { EmbeddedServer } from "../support/servers/embedded-server";
import { insertRows, type RandomSchema, type RandomTable } from "./random-schema";
import type { Seeded } from "../support/seeded";

/** Errors that applications meet: class 23 and 40, invalid values, locks, a fence. */
const ordinary = /^(23|40|22|25006|55P03|55006|42P10|55000)/;
const lost = /^(08|57P|53)|^ECONN|terminated|not queryable|Client was closed/;

const sessions = 3;

interface WriterOptions {
  readonly schema: RandomSchema;
  readonly random: Seeded;
  /** Maximum pause of a session after a transaction. */
  readonly longestPauseMs?: number;
}

/** Sessions that write random transactions into a random schema until `stop`, and reconnect after server restarts. */
export class RandomWriters {
  readonly schema: RandomSchema;
  readonly longestPauseMs: number;
  transactions = 0;
  #running = true;
  readonly #done: Promise<unknown>;

  constructor(
    readonly server: EmbeddedServer,
    readonly database: string,
    { schema, random, longestPauseMs = 8 }: WriterOptions,
  ) {
    this.schema = schema;
    this.longestPauseMs = longestPauseMs;
    this.#done = Promise.all(Array.from({ length: sessions }, () => this.#session(random.fork())));
    // Prevents an unhandled rejection until `stop` awaits it.
    this.#done.catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#done;
  }

  async #session(random: Seeded): Promise<void> {
    const own = `p${random.below(2 ** 31)}_`;
    // Also reconnects after `stop`, because its remaining prepared transactions would hold back every slot.
    for (;;) {
      let client: pg.Client | undefined;
      try {
        client = await this.server.connect(this.database);
        client.on("error", () => undefined);
        await this.#rollBackPrepared(client, own);
        await client.query("SET lock_timeout = '2s'");
        while (this.#running) {
          await this.#transaction(client, random, own);
          await sleep(random.below(this.longestPauseMs));
        }
        return;
      } catch (error) {
        const { code, message } = error as { code?: string; message: string };
        if (!lost.test(code ?? "") && !lost.test(message)) throw error;
        await sleep(100);
      } finally {
        await client?.end().catch(() => undefined);
      }
    }
  }

  async #transaction(client: pg.Client, random: Seeded, own: string): Promise<void> {
    try {
      await client.query("BEGIN");
      const statements = 1 + random.below(6);
      for (let done = 0; done < statements; done++) await this.#part(client, random);
      await this.#end(client, random, own);
      this.transactions++;
    } catch (error) {
      if (!ordinary.test((error as { code?: string }).code ?? "")) throw error;
      await client.query("ROLLBACK");
    }
  }

  /** Rolls back transactions that this session prepared before the server restarted. */
  async #rollBackPrepared(client: pg.Client, own: string): Promise<void> {
    const { rows } = await client.query<{ gid: string }>(
      "SELECT gid FROM pg_prepared_xacts WHERE left(gid, length($1)) = $1",
      [own],
    );
    for (const { gid } of rows) await client.query(`ROLLBACK PREPARED '${gid}'`);
  }

  async #part(client: pg.Client, random: Seeded): Promise<void> {
    if (!random.oneIn(5)) return this.#statement(client, random);
    await client.query("SAVEPOINT part");
    try {
      await this.#statement(client, random);
      await client.query(random.oneIn(2) ? "ROLLBACK TO part" : "RELEASE part");
    } catch (error) {
      if (!ordinary.test((error as { code?: string }).code ?? "")) throw error;
      await client.query("ROLLBACK TO part");
    }
  }

  async #end(client: pg.Client, random: Seeded, own: string): Promise<void> {
    if (!random.oneIn(12)) {
      await client.query(random.oneIn(10) ? "ROLLBACK" : "COMMIT");
      return;
    }
    const name = `${own}${random.below(2 ** 31)}`;
    await client.query(`PREPARE TRANSACTION '${name}'`);
    await sleep(random.below(20));
    await client.query(`${random.oneIn(3) ? "ROLLBACK" : "COMMIT"} PREPARED '${name}'`);
  }

  async #statement(client: pg.Client, random: Seeded): Promise<void> {
    if (random.oneIn(30)) {
      await client.query("INSERT INTO refers (t) SELECT id FROM t0 ORDER BY random() LIMIT 3");
      return;
    }
    const table = random.pick(this.schema.tables);
    // Before 11, the stream does not contain TRUNCATE.
    if (this.server.major >= 11 && random.oneIn(120)) {
      await client.query(random.oneIn(3) ? `TRUNCATE t0 RESTART IDENTITY CASCADE` : `TRUNCATE ${table.name} CASCADE`);
      return;
    }
    if (random.oneIn(15)) return copyRows(client, table, random);
    await client.query(statement(table, random));
  }
}

function statement(table: RandomTable, random: Seeded): string {
  const { name, key, columns } = table;
  if (!table.changeable || random.oneIn(3)) return insertRows(table, random.oneIn(20) ? 500 : 1 + random.below(5));
  const rows = `WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM ${name} ORDER BY random() LIMIT ${1 + random.below(4)})`;
  if (random.oneIn(4)) return `DELETE FROM ${name} ${rows}`;
  if (key.length > 0 && random.oneIn(4)) {
    const changed = random.pick(key);
    return random.oneIn(2) ? `UPDATE ${name} SET ${changed.name} = ${changed.value} ${rows}` : swap(table);
  }
  const changed = columns.filter((column) => !key.includes(column) && random.oneIn(3));
  const set = changed.map((column) => `${column.name} = ${random.oneIn(6) ? "NULL" : column.value}`);
  // Sometimes an update that changes no value.
  return `UPDATE ${name} SET ${set.length > 0 ? set.join(", ") : "big = big"} ${rows}`;
}

/** Swaps the keys of two rows by means of a third key. */
function swap({ name, key }: RandomTable): string {
  const [first] = key;
  if (!first || !/^(int|bigint)/.test(first.type)) return `UPDATE ${name} SET big = 'swap'  WHERE false`;
  return `DO $$ DECLARE one int; other int; BEGIN
    SELECT min(${first.name}), max(${first.name}) INTO one, other FROM (SELECT ${first.name} FROM ${name} ORDER BY random() LIMIT 2) x;
    IF one IS NULL OR one = other THEN RETURN; END IF;
    UPDATE ${name} SET ${first.name} = -1 WHERE ${first.name} = one;
    UPDATE ${name} SET ${first.name} = one WHERE ${first.name} = other;
    UPDATE ${name} SET ${first.name} = other WHERE ${first.name} = -1; END $$`;
}

/** Writes rows by COPY. The server creates the values first. */
async function copyRows(client: pg.Client, { name, columns }: RandomTable, random: Seeded): Promise<void> {
  const list = columns.map((column) => column.name).join(", ");
  const { rows } = await client.query<Record<string, string | null>>(
    `SELECT ${columns.map((column) => `(${column.value})::text AS ${column.name}`).join(", ")} FROM generate_series(1, ${1 + random.below(20)})`,
  );
  const escape = (value: string | null): string =>
    value === null
      ? "\\N"
      : value.replace(/[\\\t\n\r]/g, (c) => ({ "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r" })[c]!);
  const text = rows.map((row) => `${columns.map((column) => escape(row[column.name]!)).join("\t")}\n`);
  await pipeline(Readable.from(text), client.query(copyFrom(`COPY ${name} (${list}) FROM STDIN`)));
}
