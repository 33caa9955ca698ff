import assert from "node:assert/strict";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { stayingWorkers } from "./staying-worker";

const table = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)";

describe("two workers with --stay", () => {
  let lab: Lab;
  let database: string;
  const { start } = stayingWorkers();

  before(async () => {
    lab = await Lab.start();
  });
  beforeEach(async () => {
    database = await lab.database(table);
  });
  after(() => lab.stop());

  const inputs = (changes: Record<string, unknown> = {}) => lab.inputs([database], { runner: "external", ...changes });

  it("hand over when the leader is killed, and exit when the migration is destroyed", async () => {
    const spec = inputs({ migrationMode: "Online" });
    const both = [start(spec), start(spec)];
    const resource = new Resource();
    const { worker: first } = await resource.create(spec);
    const [working, idle] = both[0]!.child.pid === first.pid ? both : both.reverse();
    assert.equal(working!.child.pid, first.pid);
    await idle!.logs(/another worker runs the migration; standing by/);
    working!.child.kill("SIGKILL");
    await idle!.logs(/: running the migration\n.*worker generation 2 took over/s);
    await lab.source.query("INSERT INTO t VALUES (1000)", { database });
    const status = await resource.update({ triggerCutover: true });
    assert.deepEqual([status.state, status.worker.pid], ["Succeeded", idle!.child.pid]);
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await resource.destroy();
    assert.deepEqual(await idle!.exited, [0, null]);
  });
});
