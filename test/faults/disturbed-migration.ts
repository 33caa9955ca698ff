import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { MigrationIncompleteError } from "../../provider/dist/resource/lifecycle.js";
import { logFileOf, logTail } from "../../provider/dist/supervisor/launch-worker.js";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { endpointOf } from "../cdc/scene";
import { digests } from "../support/content";
import type { MigrationStatus } from "../../provider/dist/status.js";
import type { EmbeddedServer } from "../support/servers/embedded-server";
import type { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { assertNothingLeft, replicaIdentities } from "./nothing-left";
import { type RandomSchema, randomSchema } from "./random-schema";
import { RandomWriters } from "./random-writers";
import { assertSameDefinitions } from "./same-definitions";
import { assertSameSequences } from "./same-sequences";
import type { Seeded } from "../support/seeded";
import { bulkTable, changeSchema, writeBacklog } from "./source-acts";
import { Strikes } from "./strikes";

/** Inputs of the user, which determine the phases of the migration. */
interface Course {
  readonly keylessTables: "full" | "insertsOnly";
  /** With a fence, sessions write until it stops them. Otherwise they stop before the cutover. */
  readonly fence: "none" | "readOnly";
  readonly verifyBeforeCutover: boolean;
  /** `return`: sessions write to the target after the cutover, and then the migration returns to the source. */
  readonly rollbackReplication: "none" | "return" | "drop";
  readonly workers: number;
}

function randomCourse(random: Seeded): Course {
  const fence = random.oneIn(3) ? "readOnly" : "none";
  return {
    keylessTables: random.oneIn(2) ? "full" : "insertsOnly",
    fence,
    // Sessions that truncate a table repeatedly prevent its comparison.
    verifyBeforeCutover: random.oneIn(2) && fence === "none",
    rollbackReplication: random.pick(["none", "none", "return", "drop"] as const),
    workers: random.oneIn(4) ? 2 : 1,
  };
}

const momentsOfCopy = [
  ...["any", "creating publication and slot", "copying tables", "copying tables", "comparing rows, building indexes"],
  ...["foreign keys, triggers and privileges", "opening the stream"],
];

/** Leaves CPU for the worker, which has to catch up repeatedly. */
const writersPauseMs = 40;
/** Since 13, slots can be copied, so a backlog is read in portions. */
const firstToReadInPortions = 13;

/** One migration of a random schema under random writes, disturbed from its copy to its end. */
export class DisturbedMigration {
  readonly #resource = new Resource();
  readonly #lab: Lab;
  readonly #random: Seeded;
  readonly #course: Course;
  readonly #schema: RandomSchema;
  readonly #database: string;
  readonly #strikes: Strikes;
  #acts = 0;

  private constructor(
    lab: Lab,
    random: Seeded,
    parts: {
      readonly course: Course;
      readonly schema: RandomSchema;
      readonly database: string;
      readonly strikes: Strikes;
    },
  ) {
    this.#lab = lab;
    this.#random = random;
    this.#course = parts.course;
    this.#schema = parts.schema;
    this.#database = parts.database;
    this.#strikes = parts.strikes;
  }

  /**
   * @param kills maximum number of killed workers
   * @returns the faults
   */
  static async run(lab: Lab, random: Seeded, kills: number): Promise<Strikes> {
    const course = randomCourse(random);
    const schema = randomSchema(random, lab.source.major);
    const database = await lab.database(schema.ddl + bulkTable + schema.rows);
    const toSource = await CuttableProxy.to(endpointOf(lab.source.login));
    const toTarget = await CuttableProxy.to(endpointOf(lab.administrator));
    const target = { ...toTarget.endpoint, sslMode: "Disable" as const };
    const inputs = lab.onlineInputs([database], {
      overwriteDbsInTarget: true,
      splitTablesLargerThan: "2MB",
      keylessTables: course.keylessTables,
      fence: course.fence,
      verifyBeforeCutover: course.verifyBeforeCutover,
      rollback: course.rollbackReplication === "none" ? "drop" : "keep",
      workers: course.workers,
      source: { ...toSource.endpoint, sslMode: "Disable" },
      target,
    });
    const migrationName = String(inputs.migrationName);
    const strikes = new Strikes(lab, random.fork(), migrationName, { toSource, toTarget });
    const migration = new DisturbedMigration(lab, random, { course, schema, database, strikes });
    try {
      await migration.#run(inputs, kills);
    } catch (error) {
      const context = `seed ${random.seed}, database ${database}, ${JSON.stringify(course)}, ${strikes.describe()}`;
      const last = await migration.#lastMessages({ migrationName, target });
      throw new Error(`${context}: ${(error as Error).stack}\n${last}`, { cause: error });
    } finally {
      await toSource.close();
      await toTarget.close();
    }
    for (const server of [lab.source, lab.target]) await server.query(`DROP DATABASE ${database}`);
    return strikes;
  }

  /** The status in the records, and the last lines of the worker's log. */
  async #lastMessages(job: Parameters<typeof logFileOf>[0]): Promise<string> {
    const status = (await this.#resource.refresh()) as MigrationStatus | undefined;
    const findings = status?.currentSubStateDetails.validationDetails?.dbLevelValidationDetails ?? [];
    const messages = findings.flatMap(({ summary }) => summary.flatMap((one) => one.messages));
    const found = messages.map(({ object, message }) => `found: ${object ?? "-"}: ${message}`);
    const recorded = [`${status?.state ?? "not recorded"}: ${status?.error ?? "no error"}`, ...found];
    return [...recorded, await logTail(logFileOf(job), 30)].join("\n");
  }

  async #run(inputs: Record<string, unknown>, kills: number): Promise<void> {
    const [resource, strikes] = [this.#resource, this.#strikes];
    const identities = await replicaIdentities(this.#lab.source, this.#database);
    const writers = this.#write(this.#lab.source);
    try {
      const inCopy = Math.ceil(kills / 4);
      await strikes.during(
        this.#reach(() => resource.create(inputs)),
        inCopy,
        momentsOfCopy,
      );
      await this.#follow(Math.ceil((3 * kills) / 8));
      if (this.#course.fence === "none") await writers.stop();
      await this.#cutOver(Math.max(kills - strikes.kills, 1));
    } finally {
      await writers.stop();
    }
    assert.ok(writers.transactions > 0, "nothing was written");
    await this.#assertEqual();
    if (this.#course.rollbackReplication !== "none") await this.#endRollback();
    await resource.destroy();
    await assertNothingLeft(this.#lab, this.#database);
    const now = await replicaIdentities(this.#lab.source, this.#database);
    for (const [table, identity] of identities) assert.equal(now.get(table), identity, `replica identity of ${table}`);
  }

  #write(server: EmbeddedServer): RandomWriters {
    return new RandomWriters(server, this.#database, {
      ...{ schema: this.#schema, random: this.#random.fork(), longestPauseMs: writersPauseMs },
    });
  }

  /** Disturbs the worker while it catches up with a backlog, replicates DDL and compares rows. */
  async #follow(kills: number): Promise<void> {
    const [strikes, random, { source }] = [this.#strikes, this.#random, this.#lab];
    const acts = [
      () => strikes.times(1, ["any"]),
      async () => {
        await changeSchema(source, this.#database, ++this.#acts, random);
        // The worker checks the schema periodically.
        await sleep(random.below(3500));
        await strikes.times(1, ["following"]);
      },
      async () => {
        await strikes.killFrozen(() => writeBacklog(source, this.#database));
        if (source.major >= firstToReadInPortions) await strikes.times(1, ["reading its backlog"]);
      },
      async () => {
        if (this.#course.fence !== "none") return;
        this.#resource.inputs = { ...this.#resource.inputs, verifyNow: `v${++this.#acts}` };
        await strikes.times(1, ["verifying"]);
      },
    ];
    await this.#attended(async () => {
      for (const last = strikes.kills + kills; strikes.kills < last;) await random.pick(acts)();
    });
  }

  async #cutOver(kills: number): Promise<void> {
    const { rollbackReplication, verifyBeforeCutover } = this.#course;
    const moments = ["any", "cutting over", "cutting over", "cleaning up"];
    if (verifyBeforeCutover) moments.push("comparing before the cutover");
    if (rollbackReplication !== "none") moments.push("starting the rollback replication");
    await this.#strikes.during(
      this.#reach(() => this.#resource.update({ triggerCutover: true })),
      kills,
      moments,
    );
    const { state, error } = this.#resource.status;
    assert.equal(state, rollbackReplication === "none" ? "Succeeded" : "WaitingForUserAction", error);
  }

  async #endRollback(): Promise<void> {
    const [resource, strikes] = [this.#resource, this.#strikes];
    if (this.#course.rollbackReplication === "drop") {
      await strikes.during(
        this.#reach(() => resource.update({ rollback: "drop" })),
        1,
        ["any", "rollingBack"],
      );
      assert.equal(resource.status.state, "Succeeded", resource.status.error);
      return;
    }
    const writers = this.#write(this.#lab.target);
    try {
      await this.#attended(() => strikes.times(1, ["any"]));
    } finally {
      await writers.stop();
    }
    assert.ok(writers.transactions > 0, "nothing was written on the target");
    const moments = ["any", "returning", "cleaning up"];
    await strikes.during(
      this.#reach(() => resource.update({ rollback: "return" })),
      1,
      moments,
    );
    assert.equal(resource.status.state, "Canceled", resource.status.error);
    await this.#assertEqual();
  }

  async #assertEqual(): Promise<void> {
    const places = this.#lab.places(this.#database);
    const [expected, actual] = await Promise.all(places.map(digests));
    // The progress of the rollback replication is on the source.
    const ofUsers = Object.entries(expected!).filter(([table]) => !table.startsWith("pgmigration."));
    assert.deepEqual(actual, Object.fromEntries(ofUsers));
    await assertSameDefinitions(...places);
    // Rollback replication advances the source's sequences. After a crash, a sequence is ahead of its last returned value.
    const isKept = this.#resource.status.state === "WaitingForUserAction";
    if (!isKept && this.#strikes.crashes === 0) await assertSameSequences(...places);
  }

  /** Runs `up` repeatedly, as a user would, while the worker is disturbed. */
  async #attended(act: () => Promise<void>): Promise<void> {
    const over = { is: false };
    const attend = async (): Promise<void> => {
      while (!over.is) {
        await this.#reach(() => this.#resource.update({}));
        await sleep(200);
      }
    };
    const results = await Promise.allSettled([act().finally(() => (over.is = true)), attend()]);
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  /** Repeats an operation until it succeeds, as a user would. Only errors that the faults explain are accepted. */
  async #reach(first: () => Promise<unknown>): Promise<void> {
    let run = first;
    for (let attempt = 0; attempt < 100; attempt++) {
      try {
        await run();
        const { verification } = this.#resource.status.currentSubStateDetails.dbDetails[this.#database] ?? {};
        assert.notEqual(verification?.state, "different", verification?.message);
        return;
      } catch (error) {
        const { message } = error as Error;
        // The faults must not end the migration.
        const hasFailed = error instanceof MigrationIncompleteError && /Failed$/.test(this.#resource.status.state);
        if (error instanceof assert.AssertionError || hasFailed || !explained.test(message)) throw error;
        await sleep(300);
      }
      run = this.#resource.id === "" ? first : () => this.#resource.update({});
    }
    throw new Error("the operation did not succeed in 100 attempts");
  }
}

const explained =
  /terminat|ECONN|EPIPE|nothing answers|connection|closed|starting up|shutting down|recovery mode|times without an end state|in use|crash/i;
