import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cp, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Deployment } from "../../tools/pulumi-host/engine/deployment";
import { exampleConfig } from "../../tools/pulumi-host/example-config";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { until } from "../support/until";

describe("an interrupted pulumi up", () => {
  let lab: Lab;
  let directory: string;
  let database: string;

  const deployment = (): Deployment => new Deployment({ programDirectory: directory, stack: "dev" });

  before(async () => {
    lab = await Lab.start();
    directory = await mkdtemp(join(tmpdir(), "pg-migration-interrupted-"));
    await cp("examples/online", directory, { recursive: true });
    await symlink(resolve("node_modules"), join(directory, "node_modules"));
    await writeFile(
      join(directory, "tsconfig.json"),
      JSON.stringify({ extends: resolve("tsconfig.base.json"), files: ["index.ts"] }),
    );
    database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)");
    const { config, secretConfig } = exampleConfig(lab.source.login, lab.administrator);
    const settings = { ...config, dbsToMigrate: JSON.stringify([database]) };
    process.env.PULUMI_CONFIG_PASSPHRASE = "a passphrase for tests";
    for (const [key, value] of Object.entries(settings)) deployment().setConfiguration(key, value, false);
    for (const [key, value] of Object.entries(secretConfig)) deployment().setConfiguration(key, value, true);
  });

  after(async () => {
    delete process.env.PULUMI_CONFIG_PASSPHRASE;
    await rm(directory, { recursive: true, force: true });
    await lab.stop();
  });

  function pulumi(...words: string[]) {
    // In its own process group, like a command of a shell: Ctrl-C reaches all processes of the group.
    const child = spawn(
      process.execPath,
      ["--import", "tsx", resolve("tools/pulumi-host/main.ts"), ...words, "--cwd", directory],
      { detached: true },
    );
    let output = "";
    child.stdout.on("data", (chunk) => (output += String(chunk)));
    child.stderr.on("data", (chunk) => (output += String(chunk)));
    const ended = new Promise<{ code: number | null; output: string }>((done) =>
      child.once("close", (code) => done({ code, output })),
    );
    return { ended, interrupt: () => process.kill(-child.pid!, "SIGINT"), output: () => output };
  }

  const worker = async (): Promise<{ pid: number } | undefined> => {
    const [row] = await lab.target.query<{ worker: { pid: number } | null }>(
      "SELECT worker FROM pgmigration.migration",
    );
    return row?.worker ?? undefined;
  };

  async function waitsForTransaction(): Promise<boolean> {
    const recorded = "SELECT to_regclass('pgmigration.database') IS NOT NULL AS found";
    if (!(await lab.target.query<{ found: boolean }>(recorded))[0]!.found) return false;
    const waiting = "SELECT FROM pgmigration.database WHERE message LIKE 'waiting for older transactions%'";
    return (await lab.target.query(waiting)).length > 0;
  }

  it("leaves its worker running, and the next up adopts it", async () => {
    const obstacle = await lab.source.connect(database);
    await obstacle.query("BEGIN; DELETE FROM t WHERE id = 1");
    const first = pulumi("up");
    await until("the worker waits for that transaction", waitsForTransaction);
    const { pid } = (await worker())!;
    first.interrupt();
    await until("the interrupt is heard", () => /Cancelling/.test(first.output()));
    first.interrupt();
    assert.notEqual((await first.ended).code, 0);
    process.kill(pid, 0);
    await obstacle.end();
    const second = await pulumi("up").ended;
    assert.equal(second.code, 0, second.output);
    assert.match(second.output, /WaitingForUserAction/);
    assert.equal((await worker())!.pid, pid);
    deployment().setConfiguration("triggerCutover", "true", false);
    assert.equal((await pulumi("up").ended).code, 0);
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    assert.equal((await pulumi("destroy").ended).code, 0);
  });
});
