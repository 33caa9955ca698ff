import type { Client } from "pg";
import { serverVersion } from "./server-version.js";

/**
 * SQL for the relation that has a name at this moment, whatever the transaction's snapshot shows; NULL where none has.
 *
 * @param name SQL for the name as text, qualified and quoted
 */
export async function currentRelation(session: Client, name: string): Promise<string> {
  // It takes text from 9.6 on.
  return (await serverVersion(session)) < 90600 ? `to_regclass((${name})::cstring)::oid` : `to_regclass(${name})::oid`;
}
