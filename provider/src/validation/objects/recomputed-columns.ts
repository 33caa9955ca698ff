import { isDeepStrictEqual } from "node:util";
import type { Client } from "pg";
import { qualify, quoteIdentifier, type RelationName } from "../../postgres/identifiers.js";
import { notExtensionMember } from "../../postgres/catalogue-filters.js";
import { planningCallsWritten } from "../../postgres/planner-functions.js";
import { serverVersion } from "../../postgres/server-version.js";
import { readSelection } from "../../schema/plan/selection.js";
import type { Finding } from "../../findings.js";
import type { Rule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";
import { type Trial, Trials } from "./trial.js";
import { calledBy, callsUsers, callsWritten, readsPartitionKey } from "../../postgres/called-functions.js";

interface FilledView {
  readonly key: string;
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly query: string;
  /** Whether it calls only PostgreSQL's own functions without side effects. */
  readonly isPlain: boolean;
  /** The relations that it reads, also through other views. */
  readonly reads: readonly (RelationName & { readonly key: string; readonly kind: string })[];
  /** The columns of each unique index. */
  readonly uniqueColumns: readonly (readonly string[])[];
}

interface GeneratedColumn {
  readonly key: string;
  readonly schema: string;
  readonly table: string;
  readonly column: string;
  readonly expression: string;
  /** A column that the expression reads: updating it recomputes the generated column. */
  readonly base: string | null;
}

const maxNamed = 20;

/**
 * Materialized views and stored generated columns are not copied: the target computes them from the current rows,
 * possibly with other values, or with an error. This is tried on the source within a time limit.
 */
export const recomputedColumns: Rule = async ({ sources, spec }) => {
  if (spec.schemaOnly) return [];
  const findings: Finding[] = [];
  for (const [database, source] of sources) {
    const { cut } = await readSelection(source, spec);
    const trials = new Trials(source);
    const common = { database, type: "SchemaValidation", objectType: "Database" } as const;
    const views = spec.dataOnly ? [] : (await filledViews(source)).filter(({ key }) => !cut.has(key));
    const { failing, untried } = await viewsNotFilled(trials, source, views);
    if (failing.length > 0)
      findings.push({
        ...common,
        state: "Warning",
        code: "PGM-422",
        object: failing[0],
        message: `materialized views stay empty, because their queries fail for current rows: ${enumerate(failing, maxNamed)}`,
        remedy:
          "on the source, correct the cause until REFRESH MATERIALIZED VIEW succeeds, or refresh it on the target later",
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
        code: "PGM-423",
        object: titleOf(stale[0]!),
        message: `stored generated columns differ from their expressions, and the target computes them again: ${enumerate(stale.map(titleOf), maxNamed)}`,
        remedy: `let the source compute them again, too: ${stale.slice(0, 5).map(recomputation).join("; ")}`,
      });
    if (untried.length > 0)
      findings.push({
        ...common,
        state: "Warning",
        code: "PGM-424",
        object: untried[0],
        message: `the target computes these again. They could not be tested on the source, because they call functions that neither superusers nor this role own: ${enumerate(untried, maxNamed)}`,
        remedy:
          "before the copy, as their owners on the source: REFRESH MATERIALIZED VIEW has to succeed, and generated columns have to equal their expressions",
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

/** @param only the OID of one view; by default all */
async function filledViews(source: Client, only?: number): Promise<FilledView[]> {
  const version = await serverVersion(source);
  const { rows } = await source.query<FilledView>(
    `SELECT 'pg_class'::regclass::oid || '/' || c.oid AS key, c.oid, n.nspname AS schema, c.relname AS name, pg_get_viewdef(c.oid) AS query,
            (SELECT coalesce(json_agg(json_build_object('key', 'pg_class'::regclass::oid || '/' || r.oid, 'kind', r.relkind,
                                                        'schema', s.nspname, 'name', r.relname) ORDER BY r.oid), '[]')
               FROM (${readBy("c.oid")} SELECT oid FROM read) AS read
               JOIN pg_class r ON r.oid = read.oid JOIN pg_namespace s ON s.oid = r.relnamespace
              -- A composite type is no relation to read.
              WHERE r.oid <> c.oid AND r.relkind NOT IN ('c', 'i', 'I')) AS reads,
            -- The query does not show implied casts, nor functions that create values of a domain from JSON or text.
            NOT EXISTS (SELECT FROM pg_cast k WHERE k.castfunc >= 16384 AND ${notExtensionMember("pg_cast", "k.oid")})
              -- The planner estimates conditions on a range by the difference function of its type.
              AND NOT EXISTS (SELECT FROM pg_range k WHERE k.rngsubdiff >= 16384)
              AND NOT EXISTS (SELECT FROM pg_constraint k
                               WHERE k.contypid <> 0 AND (${callsUsers("k.conbin")} OR ${callsVolatile("k.conbin")}))
              AND NOT EXISTS (${readBy("c.oid")} SELECT FROM read JOIN pg_class r ON r.oid = read.oid
                               WHERE r.relkind = 'f' OR ${planningCallsWritten("r.oid", version)}
                                  OR EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = r.oid AND ${callsWritten("k.conbin")})
                                  ${version >= 100000 ? `OR EXISTS (SELECT FROM pg_partitioned_table p WHERE p.partrelid = r.oid AND ${callsWritten("p.partexprs")})` : ""}
                                  -- EXISTS would be hashed: it would parse the rules of all views of the system, in 30 times as long.
                                  OR (SELECT bool_or(${callsUsers("w.ev_action")} OR ${callsVolatile("w.ev_action")})
                                        FROM pg_rewrite w WHERE w.ev_class = read.oid)) AS "isPlain",
            coalesce((SELECT json_agg((SELECT json_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey)))
                        FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indexprs IS NULL AND i.indpred IS NULL), '[]') AS "uniqueColumns"
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'm' AND c.relispopulated AND c.oid = coalesce($1, c.oid) ORDER BY schema, name`,
    [only],
  );
  return rows;
}

/** A relation and all relations that it reads, through views, partitions and other children. */
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
 * PostgreSQL's functions that read files, terminate sessions or execute a text are volatile. The exceptions read a table
 * that is known only at run time. This may be a view that calls any function, or a table whose partition key does.
 */
const callsVolatile = (tree: string): string =>
  `EXISTS (SELECT FROM ${calledBy(tree)} JOIN pg_proc p ON p.oid = called.oid
            WHERE p.provolatile = 'v' OR p.proname ~ '^(table|schema|database)_to_xml' OR ${readsPartitionKey("p.proname")})`;

interface Trying {
  /** With the error of each view. A view that reads a failing view has that view as its reason. */
  readonly failing: readonly string[];
  readonly untried: string[];
}

async function viewsNotFilled(trials: Trials, source: Client, views: readonly FilledView[]): Promise<Trying> {
  const titleOfView = ({ schema, name }: FilledView): string => qualify(schema, name);
  const failing = new Map<FilledView, string>();
  const untried: string[] = [];
  for (const view of views) {
    const why = await fillFailure(trials, source, view);
    if (why === "untrusted") untried.push(titleOfView(view));
    else if (why !== undefined) failing.set(view, why.reason);
  }
  for (const view of views) {
    const cause = [...failing.keys()].find(({ key }) => view.reads.some((read) => read.key === key));
    if (cause && !failing.has(view)) failing.set(view, `reads ${titleOfView(cause)}`);
  }
  return { failing: [...failing].map(([view, why]) => `${titleOfView(view)} (${why})`), untried };
}

/** The query's error, or a duplicate key; undefined if it succeeds, or if the test took too long. */
async function fillFailure(
  trials: Trials,
  source: Client,
  view: FilledView,
): Promise<{ readonly reason: string } | "untrusted" | undefined> {
  const { query, reads, uniqueColumns } = view;
  const isUnchanged = async (): Promise<boolean> => isDeepStrictEqual(await filledViews(source, view.oid), [view]);
  const run = (sql: string): Promise<Trial> =>
    view.isPlain ? trials.runPlain(reads, sql, isUnchanged) : trials.runUsersCode(reads, sql);
  const definition = query.replace(/;\s*$/, "");
  // The server computes all rows, and returns none of them.
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

/** Generated columns with functions that may have changed. */
async function generatedColumns(source: Client): Promise<GeneratedColumn[]> {
  if ((await serverVersion(source)) < 120000) return [];
  const { rows } = await source.query<GeneratedColumn>(
    `SELECT 'pg_class'::regclass::oid || '/' || c.oid AS key, n.nspname AS schema, c.relname AS table, a.attname AS column,
            pg_get_expr(f.adbin, f.adrelid) AS expression,
            -- Before 15 the column itself depends on the functions of its expression.
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

/** Compares texts, because not every type has an equality operator. */
function staleRow(trials: Trials, { schema, table, column, expression }: GeneratedColumn): Promise<Trial> {
  return trials.runUsersCode(
    [{ schema, name: table }],
    `SELECT FROM ONLY ${qualify(schema, table)} WHERE ${quoteIdentifier(column)}::text IS DISTINCT FROM (${expression})::text LIMIT 1`,
  );
}
