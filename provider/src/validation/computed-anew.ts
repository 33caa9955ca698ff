import type { Client } from "pg";
import { qualify, quoteIdentifier } from "../postgres/identifiers.js";
import { serverVersion } from "../postgres/server-version.js";
import { readSelection } from "../schema/selection.js";
import type { Finding } from "../store/journal.js";
import { enumerate, type Rule } from "./context.js";
import { Trials } from "./trial.js";

interface FilledView {
  readonly key: string;
  readonly schema: string;
  readonly name: string;
  readonly query: string;
  /** Keys of what it reads, by way of other views as well. */
  readonly reads: readonly string[];
  /** Columns that may not have the same values in two rows, of each such index. */
  readonly uniqueColumns: readonly (readonly string[])[];
}

interface GeneratedColumn {
  readonly key: string;
  readonly schema: string;
  readonly table: string;
  readonly column: string;
  readonly expression: string;
  /** A column that the expression reads: only where one is updated is it computed again. */
  readonly base: string | null;
}

const namedAtMost = 20;

/**
 * Materialized views and stored generated columns are not copied: the target computes them from the rows as they are now,
 * which may give something else than it did, or nothing. It is tried on the source, for as long as it may take there.
 */
export const computedAnew: Rule = async ({ sources, wish }) => {
  if (wish.schemaOnly) return [];
  const findings: Finding[] = [];
  for (const [database, source] of sources) {
    const { cut } = await readSelection(source, wish);
    const trials = new Trials(source);
    const common = { database, type: "SchemaValidation", objectType: "Database" } as const;
    const failing = wish.dataOnly ? [] : await viewsNotFilled(source, trials, cut);
    if (failing.length > 0)
      findings.push({
        ...common,
        state: "Warning",
        object: failing[0],
        message: `materialized views that their queries cannot fill from the rows as they are now stay empty: ${enumerate(failing, namedAtMost)}`,
        remedy:
          "on the source, correct what the query meets until REFRESH MATERIALIZED VIEW goes through, or refresh it on the target later",
      });
    const stale: GeneratedColumn[] = [];
    for (const column of await generatedColumns(source))
      if (!cut.has(column.key) && (await isStale(trials, column))) stale.push(column);
    if (stale.length > 0)
      findings.push({
        ...common,
        state: wish.verification === "content" ? "Failed" : "Warning",
        object: titleOf(stale[0]!),
        message: `stored generated columns hold what their expressions no longer give, and the target computes them anew: ${enumerate(stale.map(titleOf), namedAtMost)}`,
        remedy: `let the source compute them anew, too: ${stale.slice(0, 5).map(recomputation).join("; ")}`,
      });
  }
  return findings;
};

const titleOf = ({ schema, table, column }: GeneratedColumn): string =>
  `${qualify(schema, table)}.${quoteIdentifier(column)}`;

function recomputation({ schema, table, column, base, expression }: GeneratedColumn): string {
  const name = qualify(schema, table);
  if (base !== null) return `UPDATE ${name} SET ${quoteIdentifier(base)} = ${quoteIdentifier(base)}`;
  return `ALTER TABLE ${name} DROP COLUMN ${quoteIdentifier(column)}, then ADD COLUMN it again AS (${expression})`;
}

async function filledViews(source: Client): Promise<FilledView[]> {
  const { rows } = await source.query<FilledView>(
    `SELECT 'pg_class'::regclass::oid || '/' || c.oid AS key, n.nspname AS schema, c.relname AS name, pg_get_viewdef(c.oid) AS query,
            ARRAY(WITH RECURSIVE read (oid) AS (
                    SELECT c.oid
                    UNION
                    SELECT d.refobjid FROM read JOIN pg_rewrite w ON w.ev_class = read.oid
                      JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
                  ) SELECT 'pg_class'::regclass::oid || '/' || oid FROM read WHERE oid <> c.oid) AS reads,
            coalesce((SELECT json_agg((SELECT json_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey)))
                        FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indexprs IS NULL AND i.indpred IS NULL), '[]') AS "uniqueColumns"
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'm' AND c.relispopulated ORDER BY 2, 3`,
  );
  return rows;
}

/** With the reason of each, which for what reads another one is that one. */
async function viewsNotFilled(source: Client, trials: Trials, cut: ReadonlySet<string>): Promise<string[]> {
  const views = (await filledViews(source)).filter(({ key }) => !cut.has(key));
  const titleOfView = ({ schema, name }: FilledView): string => qualify(schema, name);
  const failing = new Map<FilledView, string>();
  for (const view of views) {
    const why = await whyNotFilled(trials, view);
    if (why !== undefined) failing.set(view, why);
  }
  for (const view of views) {
    const cause = [...failing.keys()].find(({ key }) => view.reads.includes(key));
    if (cause && !failing.has(view)) failing.set(view, `reads ${titleOfView(cause)}`);
  }
  return [...failing].map(([view, why]) => `${titleOfView(view)} (${why})`);
}

/** What the query says, or that it gives a key twice; undefined where it goes through or nobody can tell in time. */
async function whyNotFilled(trials: Trials, { query, uniqueColumns }: FilledView): Promise<string | undefined> {
  const definition = query.replace(/;\s*$/, "");
  // All of its rows are computed, and none of them sent.
  const filled = await trials.runUsersCode(`EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) ${definition}`);
  if (filled.ended === "refused") return filled.error.message;
  if (filled.ended === "unknown") return undefined;
  for (const columns of uniqueColumns) {
    const names = columns.map(quoteIdentifier);
    const twice = await trials.runUsersCode(
      `SELECT FROM (${definition}) AS filled WHERE ROW(${names.join(", ")}) IS NOT NULL GROUP BY ${names.join(", ")} HAVING count(*) > 1 LIMIT 1`,
    );
    if (twice.ended === "rows" && twice.rows.length > 0) return `two rows have the same ${columns.join(", ")}`;
  }
  return undefined;
}

/** Those whose functions somebody may have replaced since. */
async function generatedColumns(source: Client): Promise<GeneratedColumn[]> {
  if ((await serverVersion(source)) < 120000) return [];
  const { rows } = await source.query<GeneratedColumn>(
    `SELECT 'pg_class'::regclass::oid || '/' || c.oid AS key, n.nspname AS schema, c.relname AS table, a.attname AS column,
            pg_get_expr(f.adbin, f.adrelid) AS expression,
            -- Before 15 the column itself depends on what computes it.
            (SELECT b.attname FROM pg_depend d JOIN pg_attribute b ON b.attrelid = d.refobjid AND b.attnum = d.refobjsubid
              WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid NOT IN (0, a.attnum)
                AND (d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
                     OR d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = a.attnum) LIMIT 1) AS base
       FROM pg_attribute a JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
       JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE a.attgenerated = 's' AND c.relkind = 'r' AND c.relpersistence <> 't'
        AND EXISTS (SELECT FROM regexp_matches(f.adbin::text, ':(?:funcid|opfuncid) (\\d+)', 'g') AS m
                      JOIN pg_proc p ON p.oid = m[1]::oid JOIN pg_language l ON l.oid = p.prolang
                     WHERE l.lanname NOT IN ('internal', 'c') AND p.oid >= 16384)
      ORDER BY 2, 3, 4`,
  );
  return rows;
}

/** Compared as it is printed: not every type has an equality. */
async function isStale(trials: Trials, { schema, table, column, expression }: GeneratedColumn): Promise<boolean> {
  const trial = await trials.runUsersCode(
    `SELECT FROM ONLY ${qualify(schema, table)} WHERE ${quoteIdentifier(column)}::text IS DISTINCT FROM (${expression})::text LIMIT 1`,
  );
  return trial.ended === "rows" && trial.rows.length > 0;
}
