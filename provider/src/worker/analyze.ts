import type { Client } from "pg";
import { useSearchPath } from "../postgres/search-path.js";
import { qualify } from "../postgres/identifiers.js";
import { sideBySide } from "./context/run-in-parallel.js";
import type { Work } from "./work.js";

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

/** Gathers the planner's statistics of the whole database, its catalogue included, in as many sessions as build indexes. */
export async function analyzeDatabase(target: Client, { work, database, searchPath, signal }: Analysis): Promise<void> {
  await sideBySide({
    work,
    database,
    purpose: "statistics",
    groups: (await groupsOf(target)).map((group) => [group]),
    signal,
    areBrief: true,
    run: async (session, relations) => {
      await useSearchPath(session, searchPath);
      // In one transaction: by itself, ANALYZE commits after each relation, and a commit takes longer than a few rows.
      await session.query(`BEGIN; ANALYZE ${relations.join(", ")}; COMMIT`);
    },
  });
}

/**
 * What ANALYZE by itself would look at, largest first. Partitions come with the table that they are of. A new database's
 * catalogues bring the statistics of what they are made with, which hold until they have grown by a tenth, as autovacuum
 * judges.
 */
async function groupsOf(target: Client): Promise<string[][]> {
  const { rows } = await target.query<{ schema: string; name: string; large: boolean }>(
    `SELECT n.nspname AS schema, c.relname AS name, c.relkind = 'p' OR c.relpages > $1 AS large
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition AND NOT c.relisshared
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
