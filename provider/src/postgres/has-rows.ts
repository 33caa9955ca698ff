import type { Client } from "pg";
import { qualify, quoteLiteral, type RelationName } from "./identifiers.js";
import { whileLocked } from "./locks/while-locked.js";
import { isUnsafeToPlan } from "./planner-functions.js";

/**
 * Whether a table has rows. A table that must not appear in a query has some if its file has pages, because COPY would
 * send all of them.
 *
 * @param session outside a transaction
 * @throws ConcurrentChangeError if its owner replaced it by another object
 */
export const hasRows = (session: Client, table: RelationName): Promise<boolean> =>
  whileLocked(session, [table], "table", async () => {
    const name = qualify(table.schema, table.name);
    const found = (await isUnsafeToPlan(session, table))
      ? `pg_catalog.pg_relation_size(${quoteLiteral(name)}::pg_catalog.regclass) > 0`
      : `EXISTS (SELECT FROM ONLY ${name})`;
    const { rows } = await session.query<{ found: boolean }>(`SELECT ${found} AS found`);
    return rows[0]!.found;
  });
