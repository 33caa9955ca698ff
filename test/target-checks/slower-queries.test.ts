import assert from "node:assert/strict";
import fc from "fast-check";
import {
  compareQueries,
  normalizedQuery,
  slowerQueries,
  type QueryTimes,
} from "../../provider/src/target-checks/slower-queries";

const query = (text: string, calls: number, meanMs: number): QueryTimes => ({ text, calls, totalMs: calls * meanMs });

const reported = (source: QueryTimes[], target: QueryTimes[]): string[] =>
  slowerQueries(compareQueries(source, target), 170000).map(({ object }) => object!);

describe("the comparison of query times", () => {
  it("matches texts across versions of pg_stat_statements", () => {
    const texts = [
      "SELECT * FROM t WHERE a = ? AND b IN (?, ?, ?)",
      "SELECT *  FROM t\n WHERE a = $1 AND b IN ($2,$3);",
      "SELECT * FROM t WHERE a = $1 AND b IN ($2 /*, ... */)",
    ];
    assert.equal(new Set(texts.map(normalizedQuery)).size, 1);
    assert.notEqual(normalizedQuery("SELECT a FROM t"), normalizedQuery("SELECT b FROM t"));
  });

  it("reports queries that take at least twice as long, with at least 10 calls on both sides", () => {
    const source = [query("a", 10, 1), query("b", 10, 1), query("c", 9, 1), query("d", 10, 1), query("e", 10, 1)];
    const target = [query("a", 10, 2), query("b", 10, 1.9), query("c", 10, 5), query("d", 9, 5)];
    assert.deepEqual(reported(source, target), ["a"]);
  });

  it("compares only the 20 queries with the longest total time on the source", () => {
    const all = Array.from({ length: 30 }, (_, i) => query(`q${i}`, 10, i + 1));
    const slower = all.map((one) => ({ ...one, totalMs: one.totalMs * 3 }));
    assert.deepEqual(
      reported(all, slower),
      Array.from({ length: 20 }, (_, i) => `q${29 - i}`),
    );
  });

  it("adds up the entries of several roles", () => {
    const source = [query("a", 5, 1), query("a", 15, 5)];
    const [one] = compareQueries(source, [query("a", 20, 8)]);
    assert.deepEqual([one!.source, one!.ratio], [{ calls: 20, meanMs: 4 }, 2]);
  });

  it("asks for a generic plan from 16 on, and for values before", () => {
    const compared = compareQueries([query("SELECT $1", 10, 1)], [query("SELECT $1", 10, 3)]);
    const remedies = [160000, 150000].map((version) => slowerQueries(compared, version)[0]!.remedy);
    assert.deepEqual(remedies, [
      "compare the plans on both servers: EXPLAIN (GENERIC_PLAN) SELECT $1",
      "compare the plans on both servers, with values for the placeholders: EXPLAIN SELECT $1",
    ]);
  });

  it("finds nothing when both servers recorded the same", () => {
    const entry = fc.record({
      text: fc.string(),
      calls: fc.nat(1000),
      totalMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
    });
    fc.assert(fc.property(fc.array(entry), (times) => assert.deepEqual(reported(times, times), [])));
  });
});
