import type { Problem } from "../findings.js";

/** What pg_stat_statements recorded of a query. */
export interface QueryTimes {
  /** The query with placeholders instead of its constants. */
  readonly text: string;
  readonly calls: number;
  readonly totalMs: number;
}

/** A query that both servers have executed often enough. */
export interface ComparedQuery {
  readonly text: string;
  readonly source: Measured;
  readonly target: Measured;
  /** The target's mean time divided by the source's. */
  readonly ratio: number;
}

interface Measured {
  readonly calls: number;
  readonly meanMs: number;
}

const topQueries = 20;
const minCalls = 10;
const slowRatio = 2;

/**
 * Versions write placeholders as `?` or `$1`, and lists of constants as one or several of them. Line breaks and spaces are
 * those of the first execution.
 */
export const normalizedQuery = (text: string): string =>
  text
    .replace(/\s+/g, " ")
    .replace(/\$\d+/g, "?")
    .replace(/ ?\/\*, \.\.\. \*\//g, "")
    .replace(/\?(?: ?, ?\?)+/g, "?")
    .replace(/[ ;]+$/, "")
    .trim();

/** Returns the queries with the longest total time on the source, among those that both servers have executed often enough. */
export function compareQueries(source: readonly QueryTimes[], target: readonly QueryTimes[]): ComparedQuery[] {
  const after = byText(target);
  const pairs = [...byText(source)].flatMap(([key, one]) => {
    const other = after.get(key);
    return other && isMeasured(one) && isMeasured(other) ? [{ one, other }] : [];
  });
  const top = pairs.sort((a, b) => b.one.totalMs - a.one.totalMs).slice(0, topQueries);
  return top.map(({ one, other }) => {
    const [before, now] = [measured(one), measured(other)];
    return { text: other.text, source: before, target: now, ratio: now.meanMs / before.meanMs };
  });
}

const isMeasured = ({ calls, totalMs }: QueryTimes): boolean => calls >= minCalls && totalMs > 0;

/** One sum for each text. pg_stat_statements has an entry of its own for each role and level of nesting. */
function byText(queries: readonly QueryTimes[]): Map<string, QueryTimes> {
  const sums = new Map<string, QueryTimes>();
  for (const one of queries) {
    const key = normalizedQuery(one.text);
    const { text, calls, totalMs } = sums.get(key) ?? { text: one.text, calls: 0, totalMs: 0 };
    sums.set(key, { text, calls: calls + one.calls, totalMs: totalMs + one.totalMs });
  }
  return sums;
}

const measured = ({ calls, totalMs }: QueryTimes): Measured => ({ calls, meanMs: totalMs / calls });

/** PGM-831: queries whose mean time on the target is at least twice that on the source. */
export const slowerQueries = (compared: readonly ComparedQuery[], olderVersion: number): Omit<Problem, "database">[] =>
  compared
    .filter(({ ratio }) => ratio >= slowRatio)
    .map(({ text, source, target, ratio }) => ({
      type: "SchemaValidation",
      state: "Warning",
      code: "PGM-831",
      object: normalizedQuery(text).slice(0, 100),
      message: `the query takes ${ratio.toFixed(1)} times as long as on the source: ${timesOf(target)} instead of ${timesOf(source)}`,
      remedy: `compare the plans on both servers${explain(olderVersion)} ${text}`,
    }));

/** From 16 on, EXPLAIN plans a query without values for its placeholders. */
const explain = (version: number): string =>
  version >= 160000 ? ": EXPLAIN (GENERIC_PLAN)" : ", with values for the placeholders: EXPLAIN";

const timesOf = ({ meanMs, calls }: Measured): string => `${meanMs.toFixed(3)} ms (${calls} calls)`;
