import type { Client } from "pg";
import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import { notExtensionMember } from "../../postgres/own-only.js";
import { planningCallsWritten } from "../../postgres/planner-functions.js";
import { serverVersion } from "../../postgres/server-version.js";
import { readSelection } from "../../schema/plan/selection.js";
import type { Finding } from "../../findings.js";
import { enumerate, type Rule } from "../context.js";
import { type Trial, Trials } from "./trial.js";
import { calledBy, callsUsers, callsWritten } from "../../postgres/called-functions.js";

interface FilledView {
  readonly key: string;
  readonly schema: string;
  readonly name: string;
  readonly query: string;
  /** Whether it calls nothing but functions of PostgreSQL's own that only compute. */
  readonly isPlain: boolean;
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
export const recomputedColumns: Rule = async ({ sources, spec }) => {
  if (spec.schemaOnly) return [];
  const findings: Finding[] = [];
  for (const [database, source] of sources) {
    const { cut } = await readSelection(source, spec);
    const trials = new Trials(source);
    const common = { database, type: "SchemaValidation", objectType: "Database" } as const;
    const views = spec.dataOnly ? [] : (await filledViews(source)).filter(({ key }) => !cut.has(key));
    const { failing, untried } = await viewsNotFilled(trials, views);
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
    for (const column of await generatedColumns(source)) {
      if (cut.has(column.key)) continue;
      const trial = await staleRow(trials, column);
      if (trial.ended === "rows" && trial.rows.length > 0) stale.push(column);
      if (trial.ended === "untrusted") untried.push(titleOf(column));
    }
    if (stale.length > 0)
      findings.push({
        ...common,
        state: spec.verification === "content" ? "Failed" : "Warning",
        object: titleOf(stale[0]!),
        message: `stored generated columns hold what their expressions no longer give, and the target computes them anew: ${enumerate(stale.map(titleOf), namedAtMost)}`,
        remedy: `let the source compute them anew, too: ${stale.slice(0, 5).map(recomputation).join("; ")}`,
      });
    if (untried.length > 0)
      findings.push({
        ...common,
        state: "Warning",
        object: untried[0],
        message: `the target computes these anew, and nobody has tried on the source what they give by now, since they call functions that neither superusers nor this role own: ${enumerate(untried, namedAtMost)}`,
        remedy:
          "before the copy, as their owners on the source: REFRESH MATERIALIZED VIEW has to go through, and generated columns have to equal their expressions",
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
  const version = await serverVersion(source);
  const { rows } = await source.query<FilledView>(
    `SELECT 'pg_class'::regclass::oid || '/' || c.oid AS key, n.nspname AS schema, c.relname AS name, pg_get_viewdef(c.oid) AS query,
            ARRAY(${readBy("c.oid")} SELECT 'pg_class'::regclass::oid || '/' || oid FROM read WHERE oid <> c.oid) AS reads,
            -- The query does not show implied casts, nor functions that make values of a domain out of JSON or text.
            NOT EXISTS (SELECT FROM pg_cast k WHERE k.castfunc >= 16384 AND ${notExtensionMember("pg_cast", "k.oid")})
              AND NOT EXISTS (SELECT FROM pg_constraint k
                               WHERE k.contypid <> 0 AND (${callsUsers("k.conbin")} OR ${callsVolatile("k.conbin")}))
              AND NOT EXISTS (${readBy("c.oid")} SELECT FROM read JOIN pg_class r ON r.oid = read.oid
                               WHERE r.relkind = 'f' OR ${planningCallsWritten("r.oid", version)}
                                  OR EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = r.oid AND ${callsWritten("k.conbin")})
                                  ${version >= 100000 ? `OR EXISTS (SELECT FROM pg_partitioned_table p WHERE p.partrelid = r.oid AND ${callsWritten("p.partexprs")})` : ""}
                                  OR EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = read.oid
                                  AND (${callsUsers("w.ev_action")} OR ${callsVolatile("w.ev_action")}))) AS "isPlain",
            coalesce((SELECT json_agg((SELECT json_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey)))
                        FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indexprs IS NULL AND i.indpred IS NULL), '[]') AS "uniqueColumns"
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'm' AND c.relispopulated ORDER BY 2, 3`,
  );
  return rows;
}

/** A relation and all that it reads, through views and from partitions and other heirs as well. */
const readBy = (oid: string): string => `
  WITH RECURSIVE read (oid) AS (
    SELECT ${oid}
    UNION
    SELECT next.oid FROM read CROSS JOIN LATERAL (
      SELECT d.refobjid FROM pg_rewrite w
        JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
       WHERE w.ev_class = read.oid
      UNION ALL SELECT h.inhrelid FROM pg_inherits h WHERE h.inhparent = read.oid) AS next (oid)
  )`;

/**
 * PostgreSQL has functions that read files, end sessions or run a text as a query: all of them are volatile, but for
 * some that make XML of a table, or of all of a schema, that is known by then only, and may be a view that calls
 * anything.
 */
const callsVolatile = (tree: string): string =>
  `EXISTS (SELECT FROM ${calledBy(tree)} JOIN pg_proc p ON p.oid = called.oid
            WHERE p.provolatile = 'v' OR p.proname ~ '^(table|schema|database)_to_xml')`;

interface Trying {
  /** With the reason of each, which for what reads another one is that one. */
  readonly failing: readonly string[];
  readonly untried: string[];
}

async function viewsNotFilled(trials: Trials, views: readonly FilledView[]): Promise<Trying> {
  const titleOfView = ({ schema, name }: FilledView): string => qualify(schema, name);
  const failing = new Map<FilledView, string>();
  const untried: string[] = [];
  for (const view of views) {
    const why = await whyNotFilled(trials, view);
    if (why === "untrusted") untried.push(titleOfView(view));
    else if (why !== undefined) failing.set(view, why.reason);
  }
  for (const view of views) {
    const cause = [...failing.keys()].find(({ key }) => view.reads.includes(key));
    if (cause && !failing.has(view)) failing.set(view, `reads ${titleOfView(cause)}`);
  }
  return { failing: [...failing].map(([view, why]) => `${titleOfView(view)} (${why})`), untried };
}

/** What the query says, or that it gives a key twice; undefined where it goes through or nobody can tell in time. */
async function whyNotFilled(
  trials: Trials,
  { query, isPlain, uniqueColumns }: FilledView,
): Promise<{ readonly reason: string } | "untrusted" | undefined> {
  const run = (sql: string): Promise<Trial> => (isPlain ? trials.runPlain(sql) : trials.runUsersCode(sql));
  const definition = query.replace(/;\s*$/, "");
  // All of its rows are computed, and none of them sent.
  const filled = await run(`EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) ${definition}`);
  if (filled.ended === "refused") return { reason: filled.error.message };
  if (filled.ended === "untrusted") return "untrusted";
  if (filled.ended === "unknown") return undefined;
  for (const columns of uniqueColumns) {
    const names = columns.map(quoteIdentifier);
    const twice = await run(
      `SELECT FROM (${definition}) AS filled WHERE ROW(${names.join(", ")}) IS NOT NULL GROUP BY ${names.join(", ")} HAVING count(*) > 1 LIMIT 1`,
    );
    if (twice.ended === "rows" && twice.rows.length > 0)
      return { reason: `two rows have the same ${columns.join(", ")}` };
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
        AND ${callsWritten("f.adbin")}
      ORDER BY 2, 3, 4`,
  );
  return rows;
}

/** Compared as it is printed: not every type has an equality. */
function staleRow(trials: Trials, { schema, table, column, expression }: GeneratedColumn): Promise<Trial> {
  return trials.runUsersCode(
    `SELECT FROM ONLY ${qualify(schema, table)} WHERE ${quoteIdentifier(column)}::text IS DISTINCT FROM (${expression})::text LIMIT 1`,
  );
}
