import assert from "node:assert/strict";
import { CuttableProxy, type Turn } from "../cdc/cuttable-proxy";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

const fewTables = 50;
const manyTables = 250;
/** Of a migration of one table, on both servers. */
const maxSessions = 44;
/** Of the beginning of each request. */
const statementBytes = 100;

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

/** The purpose of the session and the beginning of the statement, without names, numbers and texts. */
const kindOf = ({ session, request }: Turn): string => {
  const purpose = /^pg-migration ([^#]*)/.exec(session)?.[1]?.replace(/m-\w+ /, "") ?? "?";
  const statement = request
    .slice(0, statementBytes)
    // The type and the length of the message.
    .replace(/^.[^]{4}/, "")
    .replaceAll(/"[^"]*"|'[^']*'|\d+/g, "?")
    .replaceAll(/[^\x20-\x7e]+|\s+/g, " ");
  return `${purpose}: ${statement}`;
};

describe("the round trips of an offline migration", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  async function requestsFor(count: number): Promise<ReadonlyMap<string, number>> {
    const database = await lab.database(
      `CREATE FUNCTION no_truncate() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''kept''; END'; ${tables(count)}`,
    );
    const source = await CuttableProxy.to({ ...lab.source.login, sslMode: "Disable" });
    const target = await CuttableProxy.to({ ...lab.target.login, sslMode: "Disable" });
    const resource = new Resource();
    const inputs = lab.inputs([database]) as Record<"source" | "target", object>;
    try {
      await resource.create({
        ...inputs,
        source: { ...inputs.source, port: source.endpoint.port },
        target: { ...inputs.target, port: target.endpoint.port },
        waitFor: "succeeded",
      });
      await assertSameContent(...lab.places(database));
      const counts = new Map<string, number>();
      for (const [side, { turns }] of Object.entries({ source, target }))
        for (const kind of turns.map((turn) => `${side} ${kindOf(turn)}`))
          counts.set(kind, (counts.get(kind) ?? 0) + 1);
      // Without the proxies, a worker that is about to end would try to reach the target for minutes.
      await until("the worker has ended", () => !source.isInUse && !target.isInUse);
      await resource.destroy();
      return counts;
    } finally {
      await Promise.all([source.close(), target.close()]);
    }
  }

  it("do not grow with the number of small tables, indexes, foreign keys, sequences, triggers and privileges", async () => {
    const few = await requestsFor(fewTables);
    assert(
      [...few.keys()].some((request) => /^source .*: COPY/.test(request)),
      [...few.keys()].join("\n"),
    );
    const many = await requestsFor(manyTables);
    // Statements about a hundred tables at a time grow a little, and so do repeated checks, because the migration takes longer.
    const limit = (manyTables - fewTables) / 3;
    const grown = [...many].filter(([request, number]) => number - (few.get(request) ?? 0) > limit);
    assert.deepEqual(grown, []);
  });

  it("do not include new sessions for what an open session can read", async () => {
    const sessions = [...(await requestsFor(1))].filter(([request]) => /: +user \S+ database /.test(request));
    const number = sessions.reduce((sum, [, count]) => sum + count, 0);
    assert(number <= maxSessions, sessions.map(([request, count]) => `${count} ${request}`).join("\n"));
  });
});
