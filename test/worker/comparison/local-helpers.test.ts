import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { LocalHelpers } from "../../../provider/dist/worker/context/local-helpers.js";
import { workerJobSchema } from "../../../provider/dist/worker/context/worker-job.js";
import { isAlive } from "../../support/is-alive";

describe("the helper processes of a worker", () => {
  it("are not awaited by the work that they shared, but by the end of the worker", async () => {
    const server = { host: "127.0.0.1", port: 1, user: "u", password: "unused" };
    const job = workerJobSchema.parse({ migrationName: "m", source: server, target: server });
    const helpers = new LocalHelpers(job, () => 2, new AbortController().signal);
    const helper = await helpers.during(() => {
      const pid = Number(
        execFileSync("pgrep", ["-P", String(process.pid), "-f", "bundles/worker"], { encoding: "utf8" }),
      );
      process.kill(pid, "SIGSTOP");
      return Promise.resolve(pid);
    });
    assert(isAlive(helper));
    process.kill(helper, "SIGCONT");
    await helpers.close();
    assert(!isAlive(helper));
  });
});
