import pg, { type Client } from "pg";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { useSearchPath } from "../../postgres/search-path.js";
import { qualify } from "../../postgres/identifiers.js";
import type { RestoreFinding } from "../../schema/sql/restore-findings.js";
import { runInParallel } from "../context/run-in-parallel.js";
import type { Work } from "../context/work.js";

export interface Analysis {
  readonly work: Work;
  readonly database: string;
  /** Of the source: before 17, ANALYZE runs the functions of expression indexes under the session's search_path. */
  readonly searchPath: string;
  readonly signal: AbortSignal;
}

/** Relations per ANALYZE: with a few rows each, asking takes longer than looking at them. */
const mostTogether = 50;
/** From here on a relation is asked for alone: 30 MB. */
const largePages = 4000;

/**
 * Gathers the planner's statistics of the whole database, its catalogue included, in as many sessions as build indexes. A
 * relation that cannot be analyzed is a finding: the rows were compared before.
 */
export async function analyzeDatabase(
  target: Client,
  { work, database, searchPath, signal }: Analysis,
): Promise<RestoreFinding[]> {
  const findings: RestoreFinding[] = [];
  await runInParallel({
    work,
    database,
    purpose: "statistics",
    groups: (await groupsOf(target)).map((group) => [group]),
    signal,
    areBrief: true,
    run: async (session, relations, groupSignal) => {
      await useSearchPath(session, searchPath);
      // In one transaction: by itself, ANALYZE commits after each relation, and a commit takes longer than a few rows.
      if ((await refusalOf(session, `BEGIN; ANALYZE ${relations.join(", ")}; COMMIT`, groupSignal)) === undefined)
        return;
      for (const relation of relations) {
        const refusal = await refusalOf(session, `BEGIN; ANALYZE ${relation}; COMMIT`, groupSignal);
        if (refusal !== undefined) findings.push(notAnalyzed(relation, refusal));
      }
    },
  });
  return findings;
}

/** @throws what the connection was lost by, and the reason of an aborted signal */
async function refusalOf(session: Client, sql: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    await session.query(sql);
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof pg.DatabaseError) || isConnectionLoss(error)) throw error;
    await session.query("ROLLBACK");
    return error.message;
  }
}

const notAnalyzed = (relation: string, refusal: string): RestoreFinding => ({
  object: relation,
  objectType: "STATISTICS",
  message: `ANALYZE of ${relation} failed: ${refusal}`,
  remedy: `correct the cause, then on the target: ANALYZE ${relation}`,
  severity: "warning",
});

/**
 * What ANALYZE by itself would look at, largest first, without what reads foreign tables, whose servers need not be
 * reachable. Partitions come with their partitioned table, or one by one where another partition is a foreign table. A new
 * database's catalogues have statistics from their creation, which hold until they have grown by a tenth.
 */
async function groupsOf(target: Client): Promise<string[][]> {
  const { rows } = await target.query<{ schema: string; name: string; large: boolean }>(
    `WITH RECURSIVE foreign_tree (oid) AS (
       SELECT oid FROM pg_class WHERE relkind = 'f'
       UNION
       SELECT h.inhparent FROM foreign_tree t JOIN pg_inherits h ON h.inhrelid = t.oid
     )
     SELECT n.nspname AS schema, c.relname AS name, c.relkind = 'p' OR c.relpages > $1 AS large
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND NOT c.relisshared
        AND c.oid NOT IN (SELECT oid FROM foreign_tree)
        AND (NOT c.relispartition
             OR EXISTS (SELECT FROM pg_inherits h JOIN foreign_tree t ON t.oid = h.inhparent WHERE h.inhrelid = c.oid))
        AND CASE WHEN c.oid < 16384
                 THEN pg_relation_size(c.oid) > 1.1 * c.relpages * current_setting('block_size')::int ELSE true END
      ORDER BY c.relkind = 'p' DESC, c.relpages DESC, c.oid`,
    [largePages],
  );
  const names = (large: boolean): string[] =>
    rows.filter((row) => row.large === large).map(({ schema, name }) => qualify(schema, name));
  const groups = names(true).map((name) => [name]);
  const small = names(false);
  for (let first = 0; first < small.length; first += mostTogether)
    groups.push(small.slice(first, first + mostTogether));
  return groups;
}
