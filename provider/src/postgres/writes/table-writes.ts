import type { Client } from "pg";
import { notExtensionMember, userSchemas } from "../catalogue-filters.js";

/** How often a table was written, according to the server's statistics. */
interface TableWrites {
  readonly name: string;
  /** Rows inserted, updated and deleted, including those of transactions that were rolled back. */
  readonly rows: number;
  /** pg_class.relfilenode: TRUNCATE changes it, and counts no rows. */
  readonly file: number;
  /** As of the last VACUUM or TRUNCATE. */
  readonly pages: number;
}

/** By pg_class.oid. */
export type WritesByTable = Readonly<Record<string, TableWrites>>;

/** The OID of pg_largeobject, the same on every server. */
const largeObjects = 2613;

/**
 * Reads how often each table of a user, and the large objects, were written. The statistics may lack the last second. Takes
 * no lock on the tables.
 */
export async function readTableWrites(session: Client): Promise<WritesByTable> {
  const { rows } = await session.query<{ tables: WritesByTable | null }>(
    `SELECT json_object_agg(c.oid, json_build_object(
              'name', CASE WHEN c.oid = ${largeObjects} THEN 'large objects' ELSE format('%I.%I', n.nspname, c.relname) END,
              'rows', pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid)
                      + pg_stat_get_tuples_deleted(c.oid),
              'file', c.relfilenode::int8, 'pages', c.relpages)) AS tables
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.oid = ${largeObjects}
         OR c.relkind = 'r' AND c.relpersistence <> 't' AND ${userSchemas("n")} AND ${notExtensionMember("pg_class", "c.oid")}`,
  );
  return rows[0]?.tables ?? {};
}

/** A table that was written between two readings. */
export interface WrittenTable {
  readonly oid: number;
  readonly name: string;
  readonly rows: number;
  readonly wasTruncated: boolean;
}

/**
 * The tables that were written between two readings, the most written first.
 *
 * @example writtenBetween(before, await readTableWrites(session)).map(({ name }) => name)
 */
export const writtenBetween = (before: WritesByTable, after: WritesByTable): WrittenTable[] =>
  Object.entries(after)
    .map(([oid, now]) => writtenSince(Number(oid), before[oid], now))
    .filter(({ rows, wasTruncated }) => rows > 0 || wasTruncated)
    .sort((one, other) => other.rows - one.rows);

function writtenSince(oid: number, before: TableWrites | undefined, now: TableWrites): WrittenTable {
  const counted = before?.rows ?? 0;
  return {
    oid,
    name: now.name,
    // Lower than before: the statistics were reset meanwhile.
    rows: now.rows < counted ? now.rows : now.rows - counted,
    wasTruncated: before !== undefined && before.file !== now.file && now.pages === 0,
  };
}

/**
 * Written tables for a message.
 *
 * @example describeWrites(tables) === ["public.orders (3 rows)", "public.log (truncated)"]
 */
export const describeWrites = (tables: readonly WrittenTable[]): string[] =>
  tables.map(({ name, rows, wasTruncated }) => {
    const facts = [...(rows > 0 ? [`${rows} rows`] : []), ...(wasTruncated ? ["truncated"] : [])];
    return `${name} (${facts.join(", ")})`;
  });
