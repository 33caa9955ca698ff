import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { assertSameContent } from "../support/content";
import { isAlive } from "../support/is-alive";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { Seeded, seed } from "../support/seeded";
import { until } from "../support/until";

export interface Kills {
  readonly kills: number;
  /** Maximum time from the lease of a worker to its kill. */
  readonly killedWithinMs: number;
  /** Number of workers that share the copy and hold its snapshot for the successor. */
  readonly workers: number;
}

/** A supervisor starts a worker at most four times. Then the test runs `pulumi up` again. */
const killsPerMigration = 5;

const schema = `
  CREATE TABLE keyless (v text); INSERT INTO keyless SELECT md5(i::text) FROM generate_series(1, 20000) i;
  CREATE TABLE keyed (id serial PRIMARY KEY, v text); INSERT INTO keyed (v) SELECT repeat(md5(i::text), 20) FROM generate_series(1, 20000) i;
  CREATE INDEX ON keyed (v); CREATE INDEX ON keyless (v);
  CREATE TABLE refers (id int REFERENCES keyed); INSERT INTO refers SELECT i FROM generate_series(1, 5000) i;
  CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM keyed;
  SELECT lo_from_bytea(0, decode(repeat('ab', 5000), 'hex')) FROM generate_series(1, 100);`;

/** Repeats a migration until this number of workers was killed. */
export function migrateWithKills({ kills, killedWithinMs, workers }: Kills): void {
  describe(`an offline migration of ${workers} ${workers === 1 ? "worker" : "workers"} that are killed`, () => {
    let lab: Lab;
    before(async () => {
      lab = await Lab.start();
    });
    after(() => lab.stop());

    it(`loses and duplicates nothing at ${kills} random points (PG_MIGRATION_TEST_SEED=${seed})`, async function () {
      this.timeout(60_000 + kills * 60_000);
      const random = new Seeded(seed);
      const database = await lab.database(schema);
      const phases = new Set<string>();
      for (let killed = 0; killed < kills;) {
        const resource = new Resource();
        const inputs = lab.inputs([database], { splitTablesLargerThan: "1MB", overwriteDbsInTarget: true, workers });
        let running = resource.create(inputs).catch(() => resource.outputs);
        for (let here = 0; here < killsPerMigration && killed < kills; here++) {
          // The first at once, the second when it reports its step, so that at least two phases are covered on a slow machine.
          const ms = killed === 0 ? 0 : random.below(killedWithinMs);
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
        const rows = await lab.target.query("SELECT count(*)::int AS objects FROM pg_largeobject_metadata", {
          database,
        });
        assert.deepEqual(rows, [{ objects: 100 }]);
        await resource.destroy();
      }
      assert(phases.size > 1, `killed in ${[...phases].join(", ")}`);
    });
  });
}

/** Kills the worker some time after it took the lease. Returns its step, or undefined if it ended before. */
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
