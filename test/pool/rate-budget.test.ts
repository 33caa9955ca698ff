import assert from "node:assert/strict";
import { once } from "node:events";
import type { CopyRate } from "../../provider/src/copy/copy-rate";
import { MigrationBudget } from "../../provider/src/worker/budgets/migration-budget";
import { parseInputs } from "../../provider/src/inputs/check-inputs";
import { specOf } from "../../provider/src/inputs/inputs";
import type { RunContext } from "../../provider/src/worker/context/run-context";
import { PlannedParallelism } from "../../provider/src/worker/run/planned-parallelism";
import { deleteMigration, insertMigration } from "../../provider/src/store/records";
import { withStore } from "../../provider/src/store/store";
import { Lab } from "../support/lab";
import { until } from "../support/until";

const signal = new AbortController().signal;
const limit = 300_000;

/** A copy that runs until it is ended. */
class Copy {
  readonly #over = new AbortController();
  readonly ended: Promise<void>;
  isRunning = false;

  constructor(readonly budget: MigrationBudget) {
    this.ended = budget.duringCopy(
      async () => {
        this.isRunning = true;
        if (!this.#over.signal.aborted) await once(this.#over.signal, "abort");
        this.isRunning = false;
      },
      () => Promise.resolve(),
      signal,
    );
  }

  async end(): Promise<void> {
    this.#over.abort();
    await this.ended;
  }
}

describe("the rate budget of a pool", () => {
  let lab: Lab;
  const budgets: MigrationBudget[] = [];
  const copies: Copy[] = [];
  let inputs: ReturnType<typeof parseInputs>;

  before(async () => {
    lab = await Lab.start();
    inputs = parseInputs(lab.inputs(["shop"], { runner: "external" }));
    await withStore(inputs, "test", (store) => insertMigration(store, specOf(inputs)));
  });
  afterEach(async () => {
    for (const copy of copies.splice(0)) await copy.end();
    for (const budget of budgets.splice(0)) await budget.close();
  });
  after(async () => {
    await withStore(inputs, "test", (store) => deleteMigration(store, inputs.migrationName));
    await lab.stop();
  });

  const admit = async (sides: { source?: number; target?: number }): Promise<MigrationBudget> => {
    const limits = { source: { bytesPerSecond: sides.source }, target: { bytesPerSecond: sides.target } };
    const budget = (await MigrationBudget.admit(inputs, limits, { seconds: 5, signal }))!;
    budgets.push(budget);
    return budget;
  };
  const copy = (budget: MigrationBudget): Copy => {
    copies.push(new Copy(budget));
    return copies.at(-1)!;
  };
  const granted = (): (number | undefined)[] =>
    copies.filter(({ isRunning }) => isRunning).map(({ budget }) => budget.bytesPerSecond);

  it("grants equal shares to the copies that run, whose sum never exceeds it", async () => {
    const processes = await Promise.all([1, 2, 3].map(() => admit({ source: limit })));
    const sums: number[] = [];
    const timer = setInterval(() => sums.push(granted().reduce<number>((sum, one) => sum + one!, 0)), 5);
    try {
      for (const [i, process] of processes.entries()) {
        const one = copy(process);
        await until("the copy starts", () => one.isRunning);
        assert.deepEqual(
          granted(),
          Array.from({ length: i + 1 }, () => limit / (i + 1)),
        );
      }
      await copies.shift()!.end();
      await until("the rest is shared", () => granted().every((share) => share === limit / 2));
    } finally {
      clearInterval(timer);
    }
    assert.equal(Math.max(...sums), limit);
  });

  it("returns the share of a process that dies", async () => {
    const [first, second] = [copy(await admit({ source: limit })), copy(await admit({ source: limit }))];
    await until("both copy", () => first.isRunning && second.isRunning);
    assert.deepEqual(granted(), [limit / 2, limit / 2]);
    // The session of a killed process ends in the same way.
    await second.budget.close();
    await until("the survivor has the whole rate", () => first.budget.bytesPerSecond === limit);
    await copies.pop()!.end();
  });

  it("grants the smaller share if source and target have a budget", async () => {
    const both = copy(await admit({ source: limit, target: 200_000 }));
    await until("the copy starts", () => both.isRunning);
    assert.deepEqual(granted(), [200_000]);
  });

  it("slows the copies of a worker", () => {
    const rateOf = (bytesPerSecond: number | undefined): CopyRate =>
      new PlannedParallelism({ spec: {}, limits: { bytesPerSecond } } as unknown as RunContext).copyRate;
    const pauses = (rate: CopyRate, bytes: number): boolean => rate.count(bytes, () => undefined);
    assert.equal(pauses(rateOf(undefined), limit), false);
    assert.equal(pauses(rateOf(limit), limit), true);
  });
});
