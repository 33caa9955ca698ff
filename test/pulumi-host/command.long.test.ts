import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { changesIn, type Planned, Recorder } from "../support/pulumi-cli";
import { until } from "../support/until";

const main = resolve("tools/pulumi-host/main.ts");

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** The command in a separate process. */
class Command {
  readonly process: ChildProcess;
  output = "";
  readonly ended: Promise<Ended>;

  constructor(recorder: Recorder, ...words: string[]) {
    const options = ["--cwd", recorder.programDirectory, "--state-file", recorder.stateFile];
    this.process = spawn(process.execPath, ["--import", "tsx", main, ...words, ...options], {
      env: { ...process.env, PULUMI_CONFIG_PASSPHRASE: "a passphrase for tests" },
    });
    this.process.stdout?.on("data", (chunk) => (this.output += String(chunk)));
    this.process.stderr?.on("data", (chunk) => (this.output += String(chunk)));
    this.ended = new Promise((done) => this.process.once("close", (code) => done({ code, output: this.output })));
  }
}

describe("the embedded host's command", () => {
  let recorder: Recorder;
  beforeEach(async () => (recorder = await Recorder.create()));
  afterEach(() => recorder.remove());

  /** The second of three resources is not created before {@link finishSecond}. */
  const held = (): Planned[] => [
    { name: "first" },
    { name: "second", props: { waitsFor: `${recorder.directory}/go-on` }, dependsOn: ["first"] },
    { name: "third", dependsOn: ["second"] },
  ];
  const finishSecond = () => writeFileSync(`${recorder.directory}/go-on`, "");
  const stateHas = (name: string) =>
    existsSync(recorder.stateFile) &&
    readFileSync(recorder.stateFile, "utf8").includes(
      `"urn": "urn:pulumi:dev::recorder::pulumi-nodejs:dynamic:Resource::${name}"`,
    );
  const hasCalled = (change: string) => {
    const file = `${recorder.directory}/calls.jsonl`;
    const [call, name] = change.split(" ");
    return existsSync(file) && readFileSync(file, "utf8").includes(`{"call":"${call}","name":"${name}"`);
  };

  it("prints the host, the steps and the outputs, and refuses unknown commands", async () => {
    await recorder.copyProgram([{ name: "a", props: { value: 1, exports: ["derived"] } }]);
    const up = await new Command(recorder, "up").ended;
    const output = await new Command(recorder, "output", "a_derived").ended;
    const unknown = await new Command(recorder, "dance").ended;
    assert.equal(up.code, 0);
    assert.match(up.output, /stand-in for the Pulumi CLI/);
    assert.match(up.output, /a create done/);
    assert.match(up.output, /a_derived: <1>\nResources:\n {4}2 create/);
    assert.match(output.output, /^<1>$/m);
    assert.equal(unknown.code, 1);
    assert.match(unknown.output, /no command dance[^]*usage:/);
  });

  it("completes the running step at the first interrupt, and starts no other", async () => {
    await recorder.copyProgram(held());
    const command = new Command(recorder, "up");
    await until("the second resource is being created", () => hasCalled("create second"));
    command.process.kill("SIGINT");
    await until("the command reports the interrupt", () => /interrupt again/.test(command.output));
    finishSecond();
    const { code, output } = await command.ended;
    assert.equal(code, 1);
    assert.match(output, /canceled/);
    assert.ok(stateHas("second"));
    assert.deepEqual(changesIn(await recorder.takeCalls()), ["create first", "create second"]);
  });

  it("cancels the running step at the second interrupt", async () => {
    await recorder.copyProgram(held());
    const command = new Command(recorder, "up");
    await until("the second resource is being created", () => hasCalled("create second"));
    command.process.kill("SIGINT");
    await until("the command reports the interrupt", () => /interrupt again/.test(command.output));
    command.process.kill("SIGINT");
    const { code } = await command.ended;
    assert.equal(code, 1);
    assert.ok(stateHas("first") && !stateHas("second"));
  });

  it("loses only the running step when it is killed, and leaves no process", async () => {
    await recorder.copyProgram(held());
    const command = new Command(recorder, "up");
    await until("the second resource is being created", () => hasCalled("create second"));
    const children = childrenOf(command.process.pid ?? 0);
    command.process.kill("SIGKILL");
    await command.ended;
    await until("the child processes have ended", () => children.every((pid) => !existsSync(`/proc/${pid}`)));
    assert.ok(children.length >= 2, "the program and its provider");
    assert.ok(stateHas("first") && !stateHas("second"));
    await recorder.takeCalls();
    finishSecond();
    const again = await recorder.host(held()).up();
    assert.equal(again.ok, true);
    assert.deepEqual(changesIn(await recorder.takeCalls()), ["create second", "create third"]);
  });

  it("is refused while another operation runs on the stack", async () => {
    await recorder.copyProgram(held());
    const command = new Command(recorder, "up");
    await until("the second resource is being created", () => hasCalled("create second"));
    await assert.rejects(recorder.host([]).up(), /is running an operation/);
    finishSecond();
    assert.equal((await command.ended).code, 0);
  });
});

function childrenOf(pid: number): string[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
}
