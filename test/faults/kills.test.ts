import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { endpointOf } from "../cdc/scene";
import { assertSameContent } from "../support/content";
import type { EmbeddedServer } from "../support/embedded-server";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";
import { versionPairs } from "../support/version-pairs";
import { randomSchema } from "./random-schema";
import { RandomWriters } from "./random-writers";
import { Seeded } from "./seeded";

/** `PG_MIGRATION_TEST_KILLS=300` for the long run; then over every pair of versions. */
const kills = Number(process.env.PG_MIGRATION_TEST_KILLS ?? 5);
/** `PG_MIGRATION_TEST_SEED=123` repeats schema, statements and faults; not their moments. */
const seed = Number(process.env.PG_MIGRATION_TEST_SEED ?? Date.now() % 1e9);
const isLong = process.env.PG_MIGRATION_TEST_KILLS !== undefined;
const pairs = versionPairs(
  isLong
    ? [
        { from: 10, to: 16 },
        { from: 14, to: 17 },
        { from: 16, to: 18 },
        { from: 18, to: 18 },
      ]
    : [{ from: 14, to: 18 }],
);

for (const [place, { from, to }] of pairs.entries())
  describe(`an online migration from PostgreSQL ${from} to ${to} under faults`, () => {
    let lab: Lab;
    before(async () => {
      const parameters = { max_prepared_transactions: 20, wal_sender_timeout: "10s" };
      lab = await Lab.start({ source: { major: from, parameters }, target: { major: to } });
    });
    after(() => lab.stop());

    const share = Math.ceil(kills / pairs.length);
    it(`loses and doubles nothing at ${share} kills (PG_MIGRATION_TEST_SEED=${seed})`, async function () {
      this.timeout(share * 60_000);
      const random = new Seeded(seed + place);
      const seen = new Map<string, number>();
      for (let done = 0; done < share;) {
        const round = new Round(lab, new Seeded(random.below(1e9)), Math.min(share - done, 6));
        done += await round.run();
        for (const [what, times] of round.seen) seen.set(what, (seen.get(what) ?? 0) + times);
      }
      if (isLong) console.log(`      ${[...seen].map(([what, times]) => `${times} × ${what}`).join(", ")}`);
    });
  });

type Fault =
  | "kill"
  | "killBeforeConfirmation"
  | "freeze"
  | "endSourceSession"
  | "endTargetSession"
  | "cutSource"
  | "cutTarget"
  | "restartSource"
  | "restartTarget";
const faults: readonly Fault[] = [
  ...(["kill", "kill", "kill", "kill", "kill", "kill", "killBeforeConfirmation", "killBeforeConfirmation"] as const),
  ...(["killBeforeConfirmation", "cutSource", "cutTarget", "restartSource", "restartTarget"] as const),
  ...(["freeze", "endSourceSession", "endTargetSession"] as const),
];

/** One migration of a random schema under random writes, disturbed from its copy to its cutover. */
class Round {
  /** What was done in which phase. */
  readonly seen = new Map<string, number>();
  #kills = 0;

  constructor(
    readonly lab: Lab,
    readonly random: Seeded,
    readonly kills: number,
  ) {}

  /** Answers the number of kills. */
  async run(): Promise<number> {
    const { lab, random } = this;
    const schema = randomSchema(random, lab.source.major);
    const database = await lab.database(schema.ddl + schema.rows);
    const toSource = await CuttableProxy.to(endpointOf(lab.source.login));
    const toTarget = await CuttableProxy.to(endpointOf(lab.administrator));
    const inputs = lab.inputs([database], {
      migrationMode: "Online",
      overwriteDbsInTarget: true,
      keylessTables: random.oneIn(2) ? "full" : "insertsOnly",
      source: { ...toSource.endpoint, sslMode: "Disable" },
      target: { ...toTarget.endpoint, sslMode: "Disable" },
    });
    const writers = new RandomWriters(lab.source, database, schema, random.fork(), 3);
    const resource = new Resource();
    const told = `round of seed ${random.seed}, database ${database}`;
    try {
      const disturb = (goal: Promise<boolean>, most: number): Promise<boolean> =>
        this.#disturb(goal, most, String(inputs.migrationName), toSource, toTarget);
      await disturb(
        untilReached(resource, () => resource.create(inputs)),
        Math.ceil(this.kills / 3),
      );
      await disturb(this.#whileFollowing(resource), Math.ceil(this.kills / 3));
      await writers.stop();
      assert.ok(writers.transactions > 0, "nothing was written");
      await disturb(
        untilReached(resource, () => resource.update({ triggerCutover: true })),
        this.kills,
      );
      assert.equal(resource.status.state, "Succeeded", told);
      await assertSameContent(
        { server: lab.source, database },
        { server: lab.target, database, login: lab.administrator },
      );
      await this.#assertNothingLeft(database);
      await resource.destroy();
    } catch (error) {
      throw new Error(`${told}: ${(error as Error).message}`, { cause: error });
    } finally {
      await writers.stop();
      await toSource.close();
      await toTarget.close();
    }
    for (const server of [lab.source, lab.target]) await server.query(`DROP DATABASE ${database}`);
    return this.#kills;
  }

  /** The worker is seen to again and again while the source is written to. */
  async #whileFollowing(resource: Resource): Promise<boolean> {
    for (let look = 0; look < 4; look++) {
      await sleep(700);
      await untilReached(resource, () => resource.update({}));
    }
    return true;
  }

  async #disturb(
    goal: Promise<boolean>,
    most: number,
    migration: string,
    toSource: CuttableProxy,
    toTarget: CuttableProxy,
  ): Promise<boolean> {
    const state = { isReached: false };
    const reached = goal.finally(() => (state.isReached = true));
    reached.catch(() => undefined);
    for (let done = 0; done < most && !state.isReached;) {
      await sleep(this.random.below(1500));
      if (await this.#strike(this.random.pick(faults), migration, toSource, toTarget)) done++;
    }
    return reached;
  }

  /** Whether a worker was killed. */
  async #strike(fault: Fault, migration: string, toSource: CuttableProxy, toTarget: CuttableProxy): Promise<boolean> {
    const { lab, random } = this;
    const phase = await this.#phase(migration);
    this.#note(`${fault} (${phase?.what ?? "no worker"})`);
    const mode = random.oneIn(2) ? "fast" : "immediate";
    switch (fault) {
      case "cutSource":
        toSource.cut();
        return false;
      case "cutTarget":
        toTarget.cut();
        return false;
      case "restartSource":
        await lab.source.restart(mode);
        return false;
      case "restartTarget":
        await lab.target.restart(mode);
        return false;
      case "endSourceSession":
        await endOneSession(lab.source, random);
        return false;
      case "endTargetSession":
        await endOneSession(lab.target, random);
        return false;
      case "freeze":
        if (phase?.pid === undefined || !isAlive(phase.pid)) return false;
        signal(phase.pid, "SIGSTOP");
        await sleep(random.below(3000));
        signal(phase.pid, "SIGCONT");
        return false;
      case "killBeforeConfirmation":
        // What the target commits from now on is not confirmed to the source.
        toSource.holdBackWords();
        await sleep(random.below(500));
        break;
      case "kill":
    }
    const pid = phase?.pid;
    if (pid === undefined || !isAlive(pid)) {
      toSource.cut();
      return false;
    }
    signal(pid, "SIGKILL");
    toSource.cut();
    this.#kills++;
    return true;
  }

  #note(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }

  async #phase(migration: string): Promise<{ pid: number | undefined; what: string } | undefined> {
    const [row] = await this.lab.target
      .query<{ pid: number | null; phase: string; message: string | null }>(
        `SELECT (m.worker ->> 'pid')::int AS pid, d.phase, d.message FROM pgmigration.migration m
           JOIN pgmigration.database d ON d.migration = m.name WHERE m.name = $1`,
        { values: [migration] },
      )
      .catch(() => []);
    return row && { pid: row.pid ?? undefined, what: row.message === "cutting over" ? row.message : row.phase };
  }

  /** Sessions of the operation that has just ended may take a moment to go. */
  async #assertNothingLeft(database: string): Promise<void> {
    const { source } = this.lab;
    await until("no slot is left", async () => (await source.query("SELECT FROM pg_replication_slots")).length === 0);
    assert.deepEqual(await source.query("SELECT pubname FROM pg_publication", { database }), []);
    const full = "SELECT relname FROM pg_class WHERE relreplident = 'f' AND relname ~ '8'";
    assert.deepEqual(await source.query(full, { database }), [], "a replica identity was not reset");
  }
}

/** What a user does: again, until it is reached. Only what the faults explain may be the reason. */
async function untilReached(resource: Resource, first: () => Promise<unknown>): Promise<boolean> {
  let run = first;
  for (let attempt = 0; attempt < 100; attempt++) {
    try {
      await run();
      return true;
    } catch (error) {
      const { message } = error as Error;
      if (!explained.test(message)) throw error;
      await sleep(300);
    }
    const isRecorded = resource.id !== "";
    run = isRecorded ? () => resource.update({}) : first;
  }
  throw new Error("the migration came to no end in 100 attempts");
}

const explained =
  /terminat|ECONN|EPIPE|nothing answers|connection|closed|starting up|shutting down|recovery mode|times without an end state|in use|crash/i;

/** As an administrator does, or a server that has no memory left; of whatever session of ours. */
async function endOneSession(server: EmbeddedServer, random: Seeded): Promise<void> {
  const rows = await server
    .query<{ pid: number }>(
      "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'pg-migration %' ORDER BY pid",
    )
    .catch(() => []);
  if (rows.length === 0) return;
  await server.query("SELECT pg_terminate_backend($1)", { values: [random.pick(rows).pid] }).catch(() => undefined);
}

/** A worker may have ended by itself at that moment. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as { code?: string }).code !== "ESRCH") throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
