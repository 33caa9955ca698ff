import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { CgroupsNotWritable, findCgroups, ProcessQuotas } from "../../bench/cores/cgroups";
import { activityOf, parseStat } from "../../bench/cores/processes";
import { ProcessWatch } from "../../bench/cores/process-watch";
import { until } from "../support/until";

/** A process that waits until its input ends. */
const waiting = "process.stdin.resume()";
/** A process that uses the CPU until its input ends, in a child. */
const parentOfBusy = `
  const child = require("node:child_process").spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });
  process.stdin.resume().on("end", () => child.kill("SIGKILL"));
  child.on("exit", () => process.exit());
  console.log(child.pid);`;

async function stop(child: ChildProcess): Promise<void> {
  const exited = once(child, "exit");
  child.stdin!.end();
  await exited;
}

function quotasHere(): ProcessQuotas | undefined {
  try {
    return new ProcessQuotas(findCgroups(), 0.25);
  } catch (error) {
    if (error instanceof CgroupsNotWritable) return undefined;
    throw error;
  }
}

describe("watch of processes", () => {
  const start = (program: string): ChildProcess =>
    spawn(process.execPath, ["-e", program], { stdio: ["pipe", "pipe", "inherit"] });

  let servers: [ChildProcess, ChildProcess];
  before(function () {
    if (process.platform !== "linux") this.skip();
    servers = [start(waiting), start(waiting)];
  });
  after(async () => {
    await Promise.all(servers.map(stop));
  });

  it("counts the CPU time of a tool's children, and names the busiest process", async () => {
    const watch = new ProcessWatch({ source: servers[0].pid!, target: servers[1].pid!, quotaCores: 0.1 });
    const tool = start(parentOfBusy);
    try {
      await until("the tool has used 0.3 s", () => watch.end().cpuSeconds.worker > 0.3);
      const { seconds, limiting, cpuSeconds, workerRssBytes } = watch.end();
      assert.equal(limiting.name, "worker, node");
      assert.ok(limiting.busy * 0.1 * seconds <= cpuSeconds.worker + 0.05);
      assert.ok(workerRssBytes > 10 * 2 ** 20);
      assert.ok(cpuSeconds.source < 0.3 && cpuSeconds.target < 0.3);
      watch.start();
      assert.ok(watch.end().cpuSeconds.worker < cpuSeconds.worker);
    } finally {
      watch.stop();
      await stop(tool);
    }
  });

  it("gives each process its own quota, also a child of a tool, and removes all groups", async function () {
    const quotas = quotasHere();
    if (!quotas) this.skip();
    const groupsOf = (pid: number): string => readFileSync(`/proc/${pid}/cgroup`, "utf8");
    const before = groupsOf(servers[0].pid!);
    const watch = new ProcessWatch({ source: servers[0].pid!, target: servers[1].pid!, quotas, quotaCores: 0.25 });
    const tool = start(parentOfBusy);
    try {
      const [output] = (await once(tool.stdout!, "data")) as [Buffer];
      const child = Number(output.toString());
      for (const pid of [servers[0].pid!, servers[1].pid!, tool.pid!, child])
        await until(`process ${pid} has its own group`, () =>
          groupsOf(pid).includes(`/pg-migration-bench-${process.pid}/${pid}\n`),
        );
      watch.stop();
      quotas.close();
      for (const pid of [servers[0].pid!, tool.pid!, child]) assert.equal(groupsOf(pid), before);
    } finally {
      watch.stop();
      quotas.close();
      await stop(tool);
    }
  });

  it("reads the fields of a process whose name has spaces and parentheses", () => {
    const fields = Array.from({ length: 49 }, (_, at) => String(at + 4)).join(" ");
    const sample = parseStat(7, `7 (a (b) c) S ${fields}`);
    assert.deepEqual(sample, {
      ...{ pid: 7, parent: 4, cpuSeconds: 0.29, endedChildrenCpuSeconds: 0.33, startTicks: 22, rssBytes: 24 * 4096 },
    });
  });

  const activities: Readonly<Record<string, string>> = {
    "postgres: postgres shop 127.0.0.1(40114) COPY": "session: COPY",
    "postgres: postgres a b 127.0.0.1(40114) CREATE INDEX": "session: CREATE INDEX",
    "postgres: walsender postgres shop 127.0.0.1(5) START_REPLICATION": "walsender: START_REPLICATION",
    "postgres: logical replication apply worker for subscription 16390": "logical replication apply worker",
    "postgres: parallel worker for PID 17": "parallel worker",
    "postgres: checkpointer ": "checkpointer",
    "/usr/bin/node\0/x/provider/dist/bundles/worker.js\0": "worker.js",
    "/usr/bin/node\0--max-semi-space-size=4\0/x/provider/dist/bundles/worker.js\0": "worker.js",
    "/usr/bin/pg_restore\0-j\0": "pg_restore",
    "pgcopydb: copy table": "pgcopydb",
  };
  for (const [commandLine, activity] of Object.entries(activities))
    it(`names "${commandLine.replaceAll("\0", " ")}" "${activity}"`, () => {
      assert.equal(activityOf(commandLine), activity);
    });
});
