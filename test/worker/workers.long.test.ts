import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

const table = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)";

describe("the lost workers of a resource", () => {
  let lab: Lab;
  let database: string;
  let directory: string;

  before(async () => {
    lab = await Lab.start();
  });

  beforeEach(async () => {
    database = await lab.database(table);
    directory = await mkdtemp(join(tmpdir(), "pg-migration-test-"));
  });

  afterEach(() => rm(directory, { recursive: true, force: true }));

  after(() => lab.stop());

  const online = (changes: Record<string, unknown> = {}) =>
    lab.inputs([database], { migrationMode: "Online", ...changes });

  it("are replaced by a plain up, because diff reads the records", async () => {
    const resource = new Resource();
    const { worker } = await resource.create(online());
    assert.equal((await resource.diff()).changes, false);
    process.kill(worker.pid!, "SIGKILL");
    await until("diff detects the lost worker", async () => (await resource.diff()).changes);
    assert.equal(resource.status.worker.state, "running", "the state is not refreshed");
    assert.notEqual((await resource.update({})).worker.pid, worker.pid);
    await resource.destroy();
  });
});
