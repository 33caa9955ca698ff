import type { Client } from "pg";
import { qualify, quoteLiteral, type RelationName } from "./identifiers.js";
import { whileLocked } from "./locks/while-locked.js";
import { tablesUnsafeToPlan } from "./planner-functions.js";

/** Number of tables that are locked, and read by one query, at a time. */
const tablesAtATime = 20;

/**
 * The tables that have rows. Planning a query of some tables could run functions of other roles. COPY needs no planning, but would
 * send all rows. Such a table therefore counts if its file has pages.
 *
 * @param session outside a transaction
 * @throws ConcurrentChangeError if an owner replaced a table by another object
 */
export async function tablesWithRows<Named extends RelationName>(
  session: Client,
  tables: readonly Named[],
): Promise<Named[]> {
  const found: Named[] = [];
  for (let first = 0; first < tables.length; first += tablesAtATime)
    found.push(...(await someWithRows(session, tables.slice(first, first + tablesAtATime))));
  return found;
}

const someWithRows = <Named extends RelationName>(session: Client, tables: readonly Named[]): Promise<Named[]> =>
  whileLocked(session, tables, "table", async () => {
    const unsafe = await tablesUnsafeToPlan(session, tables);
    const conditions = tables.map(({ schema, name }) => {
      const table = qualify(schema, name);
      return unsafe.has(table)
        ? `pg_catalog.pg_relation_size(${quoteLiteral(table)}::pg_catalog.regclass) > 0`
        : `EXISTS (SELECT FROM ONLY ${table})`;
    });
    const { rows } = await session.query<{ found: boolean[] }>(`SELECT ARRAY[${conditions.join(", ")}] AS found`);
    return tables.filter((_, i) => rows[0]!.found[i]);
  });
