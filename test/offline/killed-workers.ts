import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { assertSameContent } from "../support/content";
import { isAlive } from "../support/is-alive";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

/** `PG_MIGRATION_TEST_KILLS=100` for the long run. */
const kills = Number(process.env.PG_MIGRATION_TEST_KILLS ?? 6);
/** After a worker has come to the lease; in the long run up to the end of the migration, which some then reach. */
const killedWithinMs = process.env.PG_MIGRATION_TEST_KILLS ? 5000 : 800;
/** `PG_MIGRATION_TEST_WORKERS=2`: helpers share the copy, and keep its snapshot for the successor. */
const workers = Number(process.env.PG_MIGRATION_TEST_WORKERS ?? 1);
/** A supervisor starts a worker four times at most; then the user runs `pulumi up` again. */
const killsPerMigration = 5;

const schema = `
  CREATE TABLE keyless (v text); INSERT INTO keyless SELECT md5(i::text) FROM generate_series(1, 20000) i;
  CREATE TABLE keyed (id serial PRIMARY KEY, v text); INSERT INTO keyed (v) SELECT repeat(md5(i::text), 20) FROM generate_series(1, 20000) i;
  CREATE INDEX ON keyed (v); CREATE INDEX ON keyless (v);
  CREATE TABLE refers (id int REFERENCES keyed); INSERT INTO refers SELECT i FROM generate_series(1, 5000) i;
  CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM keyed;
  SELECT lo_from_bytea(0, decode(repeat('ab', 5000), 'hex')) FROM generate_series(1, 100);`;

describe("an offline migration whose workers are killed", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start();
  });
  after(() => lab.stop());

  it(`loses and doubles nothing at ${kills} random points`, async function () {
    this.timeout(60_000 + kills * 60_000);
    const database = await lab.database(schema);
    const phases = new Set<string>();
    let wentOn = 0;
    for (let killed = 0; killed < kills;) {
      const resource = new Resource();
      const inputs = lab.inputs([database], { splitTablesLargerThan: "1MB", overwriteDbsInTarget: true, workers });
      let running = resource.create(inputs).catch(() => resource.outputs);
      for (let here = 0; here < killsPerMigration && killed < kills; here++) {
        // The first at once, the second when it says what it does: in two phases at least, however slow it is.
        const ms = killed === 0 ? 0 : Math.random() * killedWithinMs;
        const phase = await killAfter(lab, String(inputs.migrationName), ms, killed === 1);
        if (phase === undefined) break;
        phases.add(phase);
        killed++;
        if ((here + 1) % 3 !== 0) continue;
        await running;
        running = resource.update({}).catch(() => resource.outputs);
      }
      await running;
      if (resource.status.state !== "Succeeded") await resource.update({});
      assert.equal(resource.status.state, "Succeeded");
      await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
      wentOn += await timesGoneOn(lab, String(inputs.migrationName));
      const rows = await lab.target.query("SELECT count(*)::int AS objects FROM pg_largeobject_metadata", { database });
      assert.deepEqual(rows, [{ objects: 100 }]);
      await resource.destroy();
    }
    assert(phases.size > 1, `killed in ${[...phases].join(", ")}`);
    if (process.env.PG_MIGRATION_TEST_KILLS)
      console.log(`      went on ${wentOn} times; killed in ${[...phases].join(", ")}`);
  });
});

/** How often a successor went on with a copy instead of beginning it anew. */
async function timesGoneOn(lab: Lab, migration: string): Promise<number> {
  const [row] = await lab.target.query<{ times: number }>(
    "SELECT count(*)::int AS times FROM pgmigration.event WHERE migration = $1 AND message LIKE 'going on with%'",
    { values: [migration] },
  );
  return row!.times;
}

/** Kills the worker some time after it has come to the lease; answers what it was doing, or undefined if it has ended. */
async function killAfter(lab: Lab, migration: string, ms: number, hasToSay: boolean): Promise<string | undefined> {
  const worker = `SELECT (m.worker ->> 'pid')::int AS pid, m.state, d.message, m.generation::int AS generation
    FROM pgmigration.migration m LEFT JOIN pgmigration.database d ON d.migration = m.name WHERE m.name = $1`;
  interface Row extends Record<string, unknown> {
    pid: number | null;
    state: string;
    message: string | null;
  }
  const seen = { end: false };
  await until("a worker is at work", async () => {
    const [row] = await lab.target.query<Row>(worker, { values: [migration] }).catch(() => []);
    seen.end = row?.state === "Succeeded";
    return seen.end || Boolean(row?.pid && isAlive(row.pid) && (row.message || !hasToSay));
  });
  if (seen.end) return undefined;
  await sleep(ms);
  const [row] = await lab.target.query<Row>(worker, { values: [migration] });
  if (!row?.pid || row.state === "Succeeded" || !isAlive(row.pid)) return undefined;
  process.kill(row.pid, "SIGKILL");
  return row.message ?? row.state;
}
