import { relative } from "node:path";

let begunAt = 0;

/** Says how long each file takes, where files run side by side and mocha's report tells of tests only. */
export const mochaHooks = {
  beforeAll(): void {
    begunAt = Date.now();
  },
  afterAll(this: Mocha.Context): void {
    if (process.env.MOCHA_WORKER_ID === undefined) return;
    const files = new Set(this.test?.parent?.suites.map(({ file }) => relative(".", file ?? "")));
    console.log(`${Math.round((Date.now() - begunAt) / 1000)} s: ${[...files].join(", ")}`);
  },
};
