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
  /** search_path of the source: before PostgreSQL 17, ANALYZE runs functions of expression indexes under the session's. */
  readonly searchPath: string;
  readonly signal: AbortSignal;
}

/** Relations per ANALYZE. For small ones the round trip takes longer than the work. */
const maxPerStatement = 50;
/** A relation of this size (30 MB) gets a statement of its own. */
const largePages = 4000;

/**
 * Gathers the planner's statistics of the whole database, including its catalogue, in as many sessions as there are index
 * jobs. A relation that cannot be analyzed causes a finding and not a failure, because its rows are already compared.
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
      // Outside a transaction, ANALYZE commits after each relation, which takes longer than a small relation.
      if ((await analyzeError(session, `BEGIN; ANALYZE ${relations.join(", ")}; COMMIT`, groupSignal)) === undefined)
        return;
      for (const relation of relations) {
        const failure = await analyzeError(session, `BEGIN; ANALYZE ${relation}; COMMIT`, groupSignal);
        if (failure !== undefined) findings.push(notAnalyzed(relation, failure));
      }
    },
  });
  return findings;
}

/** @returns the error text of the server. @throws connection losses, and the reason of an aborted signal */
async function analyzeError(session: Client, sql: string, signal: AbortSignal): Promise<string | undefined> {
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

const notAnalyzed = (relation: string, failure: string): RestoreFinding => ({
  object: relation,
  code: "PGM-439",
  objectType: "STATISTICS",
  message: `ANALYZE of ${relation} failed: ${failure}`,
  remedy: `correct the cause, then on the target: ANALYZE ${relation}`,
  state: "Warning",
});

/**
 * Lists the relations that a plain ANALYZE would include, largest first, in groups for one statement each.
 *
 * - Foreign tables are omitted, because their servers may be unreachable. A partitioned table with a foreign partition is
 *   replaced by its other partitions.
 * - Catalogues have statistics from the creation of the database. They are included once they have grown by a tenth.
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
  for (let first = 0; first < small.length; first += maxPerStatement)
    groups.push(small.slice(first, first + maxPerStatement));
  return groups;
}
