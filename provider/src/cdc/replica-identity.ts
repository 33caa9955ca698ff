import type { Client } from "pg";
import { Refused, messageOf } from "../errors.js";
import { qualify, quoteIdentifier, quoteLiteral } from "../postgres/identifiers.js";
import type { Table } from "../postgres/tables.js";

/*
 * Which tables got REPLICA IDENTITY FULL from us is written into the publication's comment, in the transaction that sets
 * it: so whoever drops the publication, from whatever machine and after whatever crash, knows what to reset.
 */

const mark = "REPLICA IDENTITY FULL set by pulumi-pg-migration, to be reset: ";

/**
 * Sets REPLICA IDENTITY FULL on the tables whose rows have no identity, so that their updates and deletes can be
 * followed. The publication has to exist.
 *
 * @returns the tables as they are now
 * @throws Refused when the role does not own one of them, or it stays locked
 */
export async function identifyByWholeRow(
  source: Client,
  publication: string,
  tables: readonly Table[],
): Promise<readonly Table[]> {
  const keyless = tables.filter(
    (table) => !table.partitioned && !table.unlogged && table.identityColumns.length === 0 && table.columns.length > 0,
  );
  if (keyless.length === 0) return tables;
  await source.query("BEGIN");
  try {
    // Writers of the source must not queue behind us for long.
    await source.query("SET LOCAL lock_timeout = '30s'");
    const before = await markedTables(source, publication);
    const names = keyless.map(({ schema, name }) => qualify(schema, name));
    const identities = keyless.map(({ replicaIdentity }) => (replicaIdentity === "nothing" ? "NOTHING" : "DEFAULT"));
    const now = Object.fromEntries(names.map((name, index) => [name, identities[index]]));
    const comment = mark + JSON.stringify({ ...before, ...now });
    await source.query(`COMMENT ON PUBLICATION ${quoteIdentifier(publication)} IS ${quoteLiteral(comment)}`);
    for (const name of names) await source.query(`ALTER TABLE ${name} REPLICA IDENTITY FULL`);
    await source.query("COMMIT");
  } catch (cause) {
    await source.query("ROLLBACK").catch(() => undefined);
    throw new Refused(`REPLICA IDENTITY FULL cannot be set on the source's tables without a key: ${messageOf(cause)}`, {
      remedy:
        "connect as the role that owns them and end sessions that hold them locked, or set keylessTables to insertsOnly",
      cause,
    });
  }
  return tables.map((table) =>
    keyless.includes(table)
      ? { ...table, replicaIdentity: "full" as const, identityColumns: table.columns.map(({ name }) => name) }
      : table,
  );
}

/** Gives the tables that {@link identifyByWholeRow} has set back what they had; idempotent. */
export async function resetReplicaIdentities(source: Client, publication: string): Promise<void> {
  const marked = Object.entries(await markedTables(source, publication));
  if (marked.length === 0) return;
  const { rows } = await source.query<{ schema: string; name: string }>(
    `SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relreplident = 'f'`,
  );
  const full = new Set(rows.map(({ schema, name }) => qualify(schema, name)));
  for (const [name, identity] of marked.filter(([table]) => full.has(table)))
    await source.query(`ALTER TABLE ${name} REPLICA IDENTITY ${identity}`);
}

/** What each table had before, by its name, qualified and quoted. */
async function markedTables(source: Client, publication: string): Promise<Record<string, "DEFAULT" | "NOTHING">> {
  const { rows } = await source.query<{ comment: string | null }>(
    "SELECT obj_description(oid, 'pg_publication') AS comment FROM pg_publication WHERE pubname = $1",
    [publication],
  );
  const comment = rows[0]?.comment ?? "";
  if (!comment.startsWith(mark)) return {};
  return JSON.parse(comment.slice(mark.length)) as Record<string, "DEFAULT" | "NOTHING">;
}
