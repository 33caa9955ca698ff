import type { Client } from "pg";
import { ConcurrentChangeError } from "../../errors.js";
import { currentRelation } from "../current-relation.js";
import { qualify, type RelationName } from "../identifiers.js";

/**
 * Locks relations in ACCESS SHARE mode until the transaction ends. Their owners could replace a table by a view after it
 * was listed, and a query on the view would run their functions. After this call they can only rename the schema.
 *
 * The server prepares a statement, which locks relations of every kind and runs no code. LOCK TABLE refuses sequences.
 *
 * @param session in a transaction
 * @param expected the kind that all of them must have under the lock
 * @throws ConcurrentChangeError if one is of another kind
 */
export async function lockRelations(
  session: Client,
  relations: readonly RelationName[],
  expected?: "table" | "sequence",
): Promise<void> {
  if (relations.length === 0) return;
  const from = relations.map(({ schema, name }, i) => `ONLY ${qualify(schema, name)} AS r${i}`);
  await session.query(`PREPARE pg_migration_lock AS SELECT FROM ${from.join(", ")}; DEALLOCATE pg_migration_lock`);
  if (expected === undefined) return;
  // Functions return the current state, also in a transaction with a snapshot. All names are qualified, because the
  // search_path may be the application's.
  const now = await currentRelation(session, "pg_catalog.format('%I.%I', wanted.schema, wanted.name)");
  const { rows } = await session.query<RelationName & { kind: string }>(
    `SELECT wanted.schema, wanted.name, now.type AS kind
       FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS wanted (schema, name)
      CROSS JOIN LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, ${now}, 0) AS now
      WHERE now.type OPERATOR(pg_catalog.<>) $3`,
    [relations.map(({ schema }) => schema), relations.map(({ name }) => name), expected],
  );
  if (rows.length === 0) return;
  const replaced = rows.map(({ schema, name, kind }) => `${qualify(schema, name)} by a ${kind}`);
  throw new ConcurrentChangeError(`the owner of a ${expected} replaced it before it was read: ${replaced.join(", ")}`, {
    remedy: `restore the ${expected}, or exclude it, then start again`,
  });
}
