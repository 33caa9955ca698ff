import assert from "node:assert/strict";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { type RequestCounts, RecordingProxy } from "../support/servers/recording-proxy";
import { until } from "../support/until";

const fewTables = 50;
const manyTables = 250;

/** Small tables, each with what most tables have. */
const tables = (count: number): string =>
  Array.from(
    { length: count },
    (_, i) =>
      `CREATE TABLE t${i} (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent int REFERENCES t${i}, v text CHECK (v <> ''));
       COMMENT ON TABLE t${i} IS 'number ${i}'; CREATE INDEX ON t${i} (v); GRANT SELECT ON t${i} TO PUBLIC;
       CREATE TRIGGER once BEFORE TRUNCATE ON t${i} EXECUTE FUNCTION no_truncate();
       INSERT INTO t${i} (parent, v) VALUES (1, 'one'), (1, 'two');`,
  ).join("\n");

describe("the round trips of an offline migration", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  async function requestsFor(count: number): Promise<RequestCounts> {
    const database = await lab.database(
      `CREATE FUNCTION no_truncate() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''kept''; END'; ${tables(count)}`,
    );
    const source = await RecordingProxy.to(lab.source.login.port);
    const target = await RecordingProxy.to(lab.target.login.port);
    const resource = new Resource();
    const inputs = lab.inputs([database]) as Record<"source" | "target", object>;
    try {
      await resource.create({
        ...inputs,
        source: { ...inputs.source, port: source.port },
        target: { ...inputs.target, port: target.port },
        waitFor: "succeeded",
      });
      await assertSameContent(...lab.places(database));
      const of = (side: string, { counts }: RecordingProxy): [string, number][] =>
        [...counts].map(([request, number]) => [`${side} ${request}`, number]);
      const all = new Map([...of("source", source), ...of("target", target)]);
      // Without the proxies, a worker that is about to end would try to reach the target for minutes.
      await until("the worker has ended", () => !source.isInUse && !target.isInUse);
      await resource.destroy();
      return all;
    } finally {
      await Promise.all([source.close(), target.close()]);
    }
  }

  it("do not grow with the number of small tables, indexes, foreign keys, sequences, triggers and privileges", async () => {
    const few = await requestsFor(fewTables);
    const many = await requestsFor(manyTables);
    // Statements about a hundred tables at a time grow a little, and so do repeated checks, because the migration takes longer.
    const limit = (manyTables - fewTables) / 3;
    const grown = [...many].filter(([request, number]) => number - (few.get(request) ?? 0) > limit);
    assert.deepEqual(grown, []);
  });
});
