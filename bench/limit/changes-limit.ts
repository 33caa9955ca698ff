import { join } from "node:path";
import { dropSlot } from "../../provider/dist/cdc/source/drop-slot.js";
import type { Drain, Drainer } from "../cdc-contenders";
import { filesOfServers, removeFilesOfServers } from "./files-of-servers";

interface Table {
  readonly name: string;
  readonly columns: readonly string[];
  /** The columns of the primary key; empty if the table has none. */
  readonly key: readonly string[];
}

/**
 * The limit of a backlog: the servers' own work, without a client that relays changes. The source decodes the WAL. At the
 * same time, the target makes the same net changes with one UPDATE and one INSERT for each table.
 */
export const ownWork: Drainer = {
  name: "the servers' own work",
  async drain(drain) {
    const { watch, source, target, database, slot, publications, arrived } = drain;
    const tables = await readTables(drain);
    await prepareChanges(drain, tables);
    watch.start();
    await Promise.all([
      source.query(
        `SELECT count(*) FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, 'proto_version', '1', 'publication_names', $2)`,
        { database, values: [slot.slot, publications.join(",")] },
      ),
      ...tables.map((table) => target.query(changesOf(table).join(";\n"), { database })),
    ]);
    await arrived();
    const usage = watch.end();
    await dropSlot({ ...source.login, sslMode: "Disable" }, database, slot.slot);
    return usage;
  },
};

function readTables({ source, database }: Drain): Promise<Table[]> {
  return source.query<Table & Record<string, unknown>>(
    `SELECT oid::regclass::text AS name,
            (SELECT array_agg(quote_ident(attname) ORDER BY attnum) FROM pg_attribute
              WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns,
            (SELECT coalesce(array_agg(quote_ident(attname)), '{}') FROM pg_index
               JOIN pg_attribute a ON a.attrelid = indrelid AND a.attnum = ANY (indkey)
              WHERE indrelid = c.oid AND indisprimary) AS key
       FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`,
    { database },
  );
}

/** Writes the rows that differ between the servers to tables of the target. */
async function prepareChanges({ source, target, database }: Drain, tables: readonly Table[]): Promise<void> {
  const directory = filesOfServers();
  try {
    for (const schema of ["after", "updated", "inserted"]) await target.query(`CREATE SCHEMA ${schema}`, { database });
    for (const [at, table] of tables.entries()) {
      const file = join(directory, String(at));
      await source.query(`COPY ${table.name} TO '${file}' (FORMAT binary)`, { database });
      await target.query(`CREATE TABLE after.${table.name} (LIKE ${table.name})`, { database });
      await target.query(`COPY after.${table.name} FROM '${file}' (FORMAT binary)`, { database });
      for (const statement of differencesOf(table)) await target.query(statement, { database });
    }
  } finally {
    removeFilesOfServers(directory);
  }
}

const sameKey = (key: readonly string[]): string => key.map((column) => `o.${column} = n.${column}`).join(" AND ");

/** The rows of a table without key only ever get more. */
function differencesOf({ name, key }: Table): string[] {
  const updated =
    key.length === 0
      ? `SELECT * FROM ${name} WHERE false`
      : `SELECT n.* FROM after.${name} n JOIN ${name} o ON ${sameKey(key)} WHERE o IS DISTINCT FROM n`;
  const inserted =
    key.length === 0
      ? `SELECT * FROM after.${name} EXCEPT ALL SELECT * FROM ${name}`
      : `SELECT n.* FROM after.${name} n WHERE NOT EXISTS (SELECT FROM ${name} o WHERE ${sameKey(key)})`;
  return [
    `CREATE TABLE updated.${name} AS ${updated}`,
    `CREATE TABLE inserted.${name} AS ${inserted}`,
    `ANALYZE updated.${name}, inserted.${name}`,
  ];
}

function changesOf({ name, columns, key }: Table): string[] {
  const insert = `INSERT INTO ${name} SELECT * FROM inserted.${name}`;
  if (key.length === 0) return [insert];
  const others = columns.filter((column) => !key.includes(column));
  const assignments = others.map((column) => `${column} = n.${column}`).join(", ");
  const update = `UPDATE ${name} o SET ${assignments} FROM updated.${name} n WHERE ${sameKey(key)}`;
  return others.length === 0 ? [insert] : [update, insert];
}
