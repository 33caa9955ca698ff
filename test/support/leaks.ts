import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runningServers } from "./servers/embedded-server";
import { leftOnServer } from "./servers/left-on-server";
import { removeTemporaryFolder, takeLeftFiles, temporaryFolder } from "./temporary-folder";

/** Time for sessions and processes to end. */
const graceMs = 60_000;
const loggedLines = 20;

// Workers write their logs here. The folder identifies the workers of this process, and nothing is left in the home.
const stateHome = join(temporaryFolder, "worker-state");
mkdirSync(stateHome);
process.env.XDG_STATE_HOME = stateHome;
// Registered after the exit handler of the servers, which lie in this folder.
process.on("exit", removeTemporaryFolder);

/** Fails a test that leaves a worker, a session, a slot or a publication, and a file of tests that leaves files. */
export const mochaHooks = {
  async afterEach(this: Mocha.Context): Promise<void> {
    const deadline = Date.now() + graceMs;
    let left = await remainingObjects();
    while (left.length > 0 && Date.now() < deadline) {
      await sleep(100);
      left = await remainingObjects();
    }
    if (left.length === 0) return;
    endWorkers();
    throw new Error(`left behind by "${this.currentTest?.fullTitle() ?? "?"}":\n  ${left.join("\n  ")}`);
  },
  afterAll(this: Mocha.Context): void {
    const left = takeLeftFiles();
    if (left.length === 0) return;
    const files = this.test?.parent?.suites.map(({ file }) => relative(".", file ?? "")) ?? [];
    throw new Error(`temporary files left by ${[...new Set(files)].join(", ")}:\n  ${left.join("\n  ")}`);
  },
};

async function remainingObjects(): Promise<string[]> {
  const servers = await Promise.all(runningServers().map(leftOnServer));
  return [...workers(), ...servers.flat()];
}

function workers(): string[] {
  const ours = logWriters();
  if (ours?.size === 0) return [];
  const processes = execFileSync("ps", ["-eo", "pid,stat,args"], { encoding: "utf8" }).split("\n");
  return processes
    .filter((line) => /dist\/bundles\/worker\.js/.test(line) && !/^\s*\d+\s+Z/.test(line))
    .filter((line) => ours?.has(Number.parseInt(line)) ?? true)
    .map((line) => `worker: ${line.trim()}, whose log ends with\n${logEnd(Number.parseInt(line))}`);
}

/** The log shows what the worker waits for. It is deleted with the folder of these tests. */
function logEnd(pid: number): string {
  try {
    return readFileSync(writesTo(pid), "utf8").trimEnd().split("\n").slice(-loggedLines).join("\n");
  } catch {
    return "(it has just ended)";
  }
}

/** Otherwise later tests would be blamed for these workers. */
function endWorkers(): void {
  for (const pid of logWriters() ?? []) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // The process has just ended by itself.
    }
  }
}

/** Processes that write to a log below our folder. Undefined if the system does not show it: then every worker counts. */
function logWriters(): Set<number> | undefined {
  if (process.platform !== "linux") return undefined;
  return new Set(
    readdirSync("/proc")
      .map(Number)
      .filter((pid) => pid > 0 && writesTo(pid).startsWith(stateHome)),
  );
}

function writesTo(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/1`);
  } catch {
    // The process has ended, or belongs to another user.
    return "";
  }
}
