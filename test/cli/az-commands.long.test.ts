import assert from "node:assert/strict";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { until } from "../support/until";
import { CommandLine } from "./command";

interface Shown {
  readonly name: string;
  readonly migrationMode: string;
  readonly dbsToMigrate: string[];
  readonly currentStatus: { readonly state: string; readonly worker?: { readonly state: string } };
}

/** az's commands against real servers, as az's documentation writes them. */
describe("pg-migration, az's commands", () => {
  let lab: Lab;
  let command: CommandLine;

  before(async () => {
    lab = await Lab.start();
    command = await CommandLine.in(lab);
  });

  after(async () => {
    await command.close();
    await lab.stop();
  });

  const schema =
    "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 2000) i";

  it("update replaces a lost worker, which list and show report", async () => {
    const database = await lab.database(schema);
    await command.json(["create", "--name", "lost", "--databases", database, "--migration-mode", "Online", "--wait"]);
    const shown = await command.json<{ currentStatus: { worker: { pid: number } } }>(["show", "--name", "lost"]);
    process.kill(shown.currentStatus.worker.pid, "SIGKILL");
    await until("the worker is lost", async () => {
      const { currentStatus } = await command.json<Shown>(["show", "--name", "lost"]);
      return currentStatus.worker?.state === "lost";
    });
    const [listed] = await command.json<Shown[]>(["list"]);
    assert.equal(listed?.currentStatus.worker?.state, "lost");
    const table = await command.run(["list", "-o", "table"]);
    assert.match(table.stdout, /^lost +WaitingForUserAction \(no worker\)/m);
    const stale = await command.run(["show", "--name", "lost", "-o", "table"]);
    assert.match(stale.stdout, new RegExp(`^${database}: behind: unknown since \\d{4}-`, "m"));
    assert.match(
      stale.stdout,
      /no worker reads the slot \S+, which retains .*WAL on the source until pg-migration update resumes the migration/,
    );
    await command.json(["update", "--name", "lost"]);
    await until("another worker replicates", async () => {
      const { currentStatus } = await command.json<Shown>(["show", "--name", "lost"]);
      return currentStatus.worker?.state === "running" && currentStatus.state === "WaitingForUserAction";
    });
    await command.json(["update", "--name", "lost", "--cutover", "--wait"]);
    const ended = await command.run(["show", "--name", "lost", "-o", "table"]);
    assert.doesNotMatch(ended.stdout, /behind/, "no lag after the end");
    const resumed = await command.run(["update", "--name", "lost"]);
    assert.equal(resumed.code, 4, "an ended migration cannot be resumed");
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    assert.equal((await command.run(["delete", "--name", "lost", "-y"])).code, 0);
  });
});
