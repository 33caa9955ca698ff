import { relative } from "node:path";
import { seed } from "./seeded";

let begunAt = 0;

/** Prints the seconds of each file, which mocha's report lacks, and the seed of a failed test. */
export const mochaHooks = {
  beforeAll(): void {
    begunAt = performance.now();
  },
  afterEach(this: Mocha.Context): void {
    if (this.currentTest?.state === "failed")
      console.log(`PG_MIGRATION_TEST_SEED=${seed}: ${this.currentTest.fullTitle()}`);
  },
  afterAll(this: Mocha.Context): void {
    if (process.env.MOCHA_WORKER_ID === undefined) return;
    const files = new Set(this.test?.parent?.suites.map(({ file }) => relative(".", file ?? "")));
    console.log(`${Math.round((performance.now() - begunAt) / 1000)} s: ${[...files].join(", ")}`);
  },
};
