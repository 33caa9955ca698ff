import type { Client } from "pg";
import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import { readSelection } from "../../schema/plan/selection.js";
import type { Finding } from "../../findings.js";
import { callsWritten } from "../../postgres/called-functions.js";
import type { Rule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";
import { type Trial, Trials } from "./trial.js";

/** An index or a check constraint that calls functions, which may have changed since the rows were written. */
interface Caller {
  /** The {@link catalogueKey} of its table. */
  readonly key: string;
  readonly schema: string;
  readonly table: string;
  readonly name: string;
  readonly kind: "index" | "check";
  /** The expressions of an index, or the condition of a check. */
  readonly expressions: readonly string[];
  readonly isUnique: boolean;
  readonly predicate: string | null;
}

const maxNamed = 20;

/**
 * The target builds indexes and evaluates checks again. An index that cannot be built fails the migration after the
 * copy, and a violated check stays NOT VALID. Therefore both are tried on the source.
 */
export const expressionReevaluation: Rule = async ({ sources, spec }) => {
  if (spec.schemaOnly || spec.dataOnly) return [];
  const findings: Finding[] = [];
  for (const [database, source] of sources) {
    const { cut } = await readSelection(source, spec);
    const trials = new Trials(source);
    const common = { database, type: "SchemaValidation", objectType: "Database" } as const;
    const broken: string[] = [];
    const violated: string[] = [];
    const untried: string[] = [];
    for (const caller of await callers(source)) {
      if (cut.has(caller.key)) continue;
      const what = await outcomeOf(trials, caller);
      if (what === "untrusted") untried.push(titleOf(caller));
      else if (what !== undefined)
        (caller.kind === "index" ? broken : violated).push(`${titleOf(caller)} (${what.reason})`);
    }
    if (broken.length > 0)
      findings.push({
        ...common,
        state: "Failed",
        code: "PGM-425",
        object: broken[0],
        message: `these indexes cannot be rebuilt, because their functions fail for current rows: ${enumerate(broken, maxNamed)}`,
        remedy: "on the source, correct the rows or the functions until REINDEX INDEX succeeds, or drop the index",
      });
    if (violated.length > 0)
      findings.push({
        ...common,
        state: "Warning",
        code: "PGM-426",
        object: violated[0],
        message: `these check constraints will be NOT VALID, because current rows violate them: ${enumerate(violated, maxNamed)}`,
        remedy: "correct the rows or the functions on the source if the checks have to hold for all rows",
      });
    if (untried.length > 0)
      findings.push({
        ...common,
        state: "Warning",
        code: "PGM-424",
        object: untried[0],
        message: `these depend on functions that the target evaluates again. They could not be tested on the source, because other roles than superusers and this role own functions in the database: ${enumerate(untried, maxNamed)}`,
        remedy:
          "before the copy, as their owners on the source: REINDEX INDEX has to succeed, and all rows have to satisfy the checks",
      });
  }
  return findings;
};

const titleOf = ({ schema, table, name, kind }: Caller): string =>
  kind === "index" ? qualify(schema, name) : `${quoteIdentifier(name)} on ${qualify(schema, table)}`;

async function callers(source: Client): Promise<Caller[]> {
  const { rows } = await source.query<Caller>(
    `SELECT 'pg_class'::regclass::oid || '/' || t.oid AS key, n.nspname AS schema, t.relname AS table, c.relname AS name, 'index' AS kind,
            ARRAY(SELECT pg_get_indexdef(i.indexrelid, k, false)
                    FROM generate_series(1, coalesce((to_jsonb(i) ->> 'indnkeyatts')::int, i.indnatts)) AS k) AS expressions,
            i.indisunique AND NOT coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false)
              AND NOT EXISTS (SELECT FROM unnest(i.indclass::oid[]) AS o (class) JOIN pg_opclass p ON p.oid = o.class WHERE NOT p.opcdefault)
              AND NOT EXISTS (SELECT FROM unnest(i.indcollation::oid[]) AS o (given) WHERE o.given NOT IN (0, 100)) AS "isUnique",
            pg_get_expr(i.indpred, i.indrelid) AS predicate
       FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid AND t.relkind = 'r'
       JOIN pg_namespace n ON n.oid = t.relnamespace
      WHERE i.indisvalid AND t.relpersistence <> 't' AND (${callsWritten("i.indexprs")} OR ${callsWritten("i.indpred")})
     UNION ALL
     SELECT 'pg_class'::regclass::oid || '/' || t.oid, n.nspname, t.relname, k.conname, 'check',
            ARRAY[pg_get_expr(k.conbin, k.conrelid)], false, NULL
       FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid AND t.relkind = 'r' JOIN pg_namespace n ON n.oid = t.relnamespace
      WHERE k.contype = 'c' AND k.convalidated AND t.relpersistence <> 't' AND ${callsWritten("k.conbin")}
      ORDER BY 2, 3, 4`,
  );
  return rows;
}

/** The error; undefined if the query succeeds, or if the test took too long. */
async function outcomeOf(
  trials: Trials,
  caller: Caller,
): Promise<{ readonly reason: string } | "untrusted" | undefined> {
  const { schema, table, expressions, isUnique } = caller;
  const tryOn = (sql: string): Promise<Trial> => trials.runUsersCode([{ schema, name: table }], sql);
  const keys = expressions.join(", ");
  const rows = `FROM ONLY ${qualify(schema, table)} WHERE ${caller.predicate ?? "true"}`;
  if (caller.kind === "check") return judge(await tryOn(`SELECT ${rows} AND NOT (${keys}) LIMIT 1`), "rows violate it");
  // The server computes all values, and returns none of them.
  const computed = judge(await tryOn(`EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) SELECT ${keys} ${rows}`));
  if (computed !== undefined || !isUnique) return computed;
  // GROUP BY would interpret a constant as the position of a column.
  const names = expressions.map((_, index) => `key_${index}`);
  const named = expressions.map((expression, index) => `${expression} AS key_${index}`);
  const twice = await tryOn(
    `SELECT FROM (SELECT ${named.join(", ")} ${rows}) AS kept
      WHERE ${names.map((name) => `${name} IS DISTINCT FROM NULL`).join(" AND ")}
      GROUP BY ${names.join(", ")} HAVING count(*) > 1 LIMIT 1`,
  );
  return judge(twice, "two rows have the same key");
}

/** @param onRows the meaning of a result with rows */
function judge(trial: Trial, onRows?: string): { readonly reason: string } | "untrusted" | undefined {
  if (trial.ended === "untrusted") return "untrusted";
  if (trial.ended === "refused") return { reason: trial.error.message };
  return trial.ended === "rows" && onRows !== undefined && trial.rows.length > 0 ? { reason: onRows } : undefined;
}
