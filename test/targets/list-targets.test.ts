import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { FleetRow } from "../../provider/dist/fleet/fleet-rows.js";
import { CommandLine, commandPath } from "../cli/command";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

describe("pg-migration list --targets", () => {
  let lab: Lab;
  let command: CommandLine;
  let silent: Server;
  const sockets: Socket[] = [];
  const resources: Resource[] = [];

  before(async () => {
    lab = await Lab.start();
    command = await CommandLine.in(lab);
    // Accepts connections, and never answers.
    silent = createServer((socket) => sockets.push(socket.on("error", () => undefined)));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  });

  afterEach(async () => {
    for (const resource of resources.splice(0)) await resource.destroy();
  });

  after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => silent.close(resolve));
    await command.close();
    await lab.stop();
  });

  /** Watches until the output is complete. The migrations never all end. */
  async function watchUntil(args: readonly string[], isComplete: (text: string) => boolean): Promise<string> {
    const child = spawn(process.execPath, [commandPath, ...args], {
      cwd: command.directory,
      env: command.environment,
      stdio: ["ignore", "pipe", "ignore"],
    });
    const exited = once(child, "exit");
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    await until("the fleet is shown", () => isComplete(text), 60).finally(() => child.kill("SIGKILL"));
    await exited;
    return text;
  }

  it("lists what needs the user first, and reports wrong entries and unreachable targets without stopping", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const names = { good: "a-good", waiting: "b-waiting", bad: "c-bad" };
    for (const [name, inputs] of [
      [names.good, lab.inputs([database])],
      [names.waiting, lab.onlineInputs([database], { databaseNames: { [database]: `${database}_online` } })],
      [names.bad, lab.inputs([database])],
    ] as const) {
      const resource = new Resource();
      resources.push(resource);
      await resource.create({ ...inputs, migrationName: name }).catch(() => undefined);
    }
    const { host, port, user } = lab.source.login;
    const list = await command.file(
      "fleet.csv",
      [
        "name,host,port,user,passwordFile",
        `main,${lab.administrator.host},${lab.administrator.port},,`,
        `empty,${host},${port},${user},${await command.file("password", `${lab.source.login.password}\n`)}`,
        "closed,127.0.0.1,1,,",
        `silent,127.0.0.1,${(silent.address() as AddressInfo).port},,`,
        "broken,127.0.0.1",
      ].join("\n"),
    );
    const answer = await command.run(["list", "--targets", list, "--filter", "All"]);
    const rows = JSON.parse(answer.stdout) as FleetRow[];
    assert.deepEqual(
      rows.map(({ target, migration, state }) => [target, migration, state]),
      [
        ["main", names.bad, "ValidationFailed"],
        ["closed", null, null],
        ["silent", null, null],
        ["main", names.waiting, "WaitingForUserAction"],
        ["main", names.good, "Succeeded"],
      ],
    );
    assert.deepEqual(
      rows[0]!.findings.filter(({ state }) => state === "Failed").map(({ code }) => code),
      ["603101"],
    );
    assert.match(rows[1]!.unreachable ?? "", /ECONNREFUSED/);
    assert.match(rows[2]!.unreachable ?? "", /no answer|not answer/);
    assert.match(answer.stderr, /fleet\.csv:6: 2 cells, but the first line has 5 names/);
    assert.equal(answer.code, 2, "a wrong entry");
    const watched = await watchUntil(
      ["watch", "--targets", list],
      (text) => text.includes("a-good: Succeeded") && text.includes("silent: unreachable"),
    );
    assert.match(watched, /main\/c-bad: ValidationFailed, validation found 1 problem/);
    assert.match(watched, /main\/b-waiting: WaitingForUserAction, WaitingForCutoverTrigger, 100 % copied\n/);
    assert.match(watched, /closed: unreachable: .*ECONNREFUSED/);
    assert.match(watched, /empty: no migration/);
    const table = await command.run(["list", "--targets", list, "-o", "table"]);
    assert.match(table.stdout, /^Target +Migration +Status/);
    assert.match(table.stdout, /^main +b-waiting +WaitingForUserAction +100 % +0 B, [\d.]+ s +running/m);
    assert.match(table.stdout, /\n4 targets: .*2 unreachable.*1 without a migration/);
    const all = await command.run(["list", "--targets", list, "--filter", "All", "-o", "table"]);
    assert.match(
      all.stdout,
      /\n\nStatus +Code +Members +Finding\n.*\nFailed +603101 +main\/c-bad +the database exists/,
    );
    assert.match(all.stdout, /\nTo do:\n(?: .*\n)* {2}603101: --overwrite, or drop the database on the target\n/);
    assert.equal(all.stdout.match(/^Failed +603101/gm)?.length, 1);
    assert.doesNotMatch(table.stdout, /a-good/, "ended migrations are not listed");
  });
});
