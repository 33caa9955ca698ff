import pg from "pg";
import { RefusedError } from "../../errors.js";
import { findingFor } from "./adapted-entry.js";
import { catalogueKey } from "../sql/toc-entries.js";
import type { RestoreFinding } from "../sql/restore-findings.js";
import type { Validation } from "../plan/deferred-constraints.js";
import type { RestoreContext } from "./restore-context.js";
import { restoreEntry } from "./restore-entry.js";

/** foreign_key_violation, check_violation */
const violations: ReadonlySet<string> = new Set(["23503", "23514"]);

/**
 * Validates a constraint that was added NOT VALID. If rows violate it, it stays NOT VALID and is reported. The source
 * has the same rows, because triggers or an earlier version of a function accepted them.
 *
 * @throws the errors of {@link restoreEntry} for other refusals
 */
export async function validateConstraint(
  target: pg.Client,
  validation: Validation,
  context: RestoreContext,
): Promise<readonly RestoreFinding[]> {
  try {
    return await restoreEntry(target, validation.entry, context);
  } catch (error) {
    const reason = error instanceof RefusedError ? error.cause : undefined;
    if (!(reason instanceof pg.DatabaseError) || !violations.has(reason.code ?? "")) throw error;
    const query = await violatingRows(target, validation);
    context.missing.add(catalogueKey(validation.entry));
    const found = query === undefined ? "find the rows that violate it" : `the rows: ${query}`;
    return [
      findingFor(validation.entry, {
        code: "PGM-426",
        message: `constraint ${validation.constraint} is NOT VALID on the target, because copied rows violate it`,
        remedy: `${found}; correct them on both servers, then on the target: ${validation.entry.sql}`,
        state: "Warning",
      }),
    ];
  }
}

/** A query for the rows that violate a check or a foreign key; undefined for a temporal key (PERIOD, from 18 on). */
async function violatingRows(target: pg.Client, { table, constraint }: Validation): Promise<string | undefined> {
  const name = (alias: string): string =>
    `(SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ${alias})`;
  const column = (relation: string, number: string): string =>
    `(SELECT pg_catalog.quote_ident(attname) FROM pg_catalog.pg_attribute WHERE attrelid = ${relation} AND attnum = ${number})`;
  const { rows } = await target.query<{ query: string | null }>(
    `SELECT CASE
              WHEN k.contype = 'c' THEN pg_catalog.format('SELECT * FROM %s WHERE NOT (%s)', ${name("k.conrelid")},
                                                          pg_catalog.pg_get_expr(k.conbin, k.conrelid))
              WHEN (pg_catalog.to_jsonb(k) ->> 'conperiod')::bool THEN NULL
              ELSE (SELECT pg_catalog.format('SELECT * FROM ONLY %s f WHERE (%s) AND NOT EXISTS (SELECT FROM ONLY %s k WHERE %s)',
                             ${name("k.conrelid")},
                             string_agg('f.' || pair.own || ' IS NOT NULL', CASE k.confmatchtype WHEN 'f' THEN ' OR ' ELSE ' AND ' END),
                             ${name("k.confrelid")},
                             string_agg('k.' || pair.key || ' = f.' || pair.own, ' AND '))
                      FROM (SELECT ${column("k.conrelid", "own")} AS own, ${column("k.confrelid", "key")} AS key
                              FROM unnest(k.conkey, k.confkey) AS numbers (own, key)) AS pair)
            END AS query
       FROM pg_catalog.pg_constraint k
       JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1 AND c.relname = $2 AND k.conname = $3`,
    [table.schema, table.name, constraint],
  );
  return rows[0]?.query ?? undefined;
}
