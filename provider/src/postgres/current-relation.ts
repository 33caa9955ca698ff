import type { Client } from "pg";
import { serverVersion } from "./server-version.js";

/**
 * SQL for the OID of the relation that now has a name, independent of the transaction's snapshot and of the search_path; NULL
 * without one.
 *
 * @param name SQL for the name as text, qualified and quoted
 */
export async function currentRelation(session: Client, name: string): Promise<string> {
  // to_regclass accepts text from 9.6 on.
  const text = (await serverVersion(session)) < 90600 ? `(${name})::pg_catalog.cstring` : name;
  return `pg_catalog.to_regclass(${text})::pg_catalog.oid`;
}
