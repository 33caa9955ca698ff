import { log } from "../../log.js";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { messageOf } from "../../errors.js";
import { workerProgram } from "../../worker-program.js";
import { shareArgument } from "../context/worker-job.js";
import type { WorkerJob } from "../context/worker-job.js";

const checkEveryMs = 5000;
/** Limits the restarts of a helper that dies at once. */
const maxLaunches = 50;
const stopTimeoutMs = 10_000;

/** Processes on this machine that execute copy tasks for this worker. A process that dies is replaced. */
export class LocalCopyHelpers {
  readonly #children = new Set<ChildProcess>();
  #copying = 0;
  #launches = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param workers number of processes, including this one
   * @param stop aborts when this worker is stopped; the helpers then hold the snapshot for its successor
   */
  constructor(
    readonly job: WorkerJob,
    readonly workers: () => number,
    readonly stop: AbortSignal,
  ) {}

  /** Runs `copy` while the helpers are running. */
  async during<T>(copy: () => Promise<T>): Promise<T> {
    if (this.#copying++ === 0) {
      this.#launch();
      this.#timer = setInterval(() => this.#launch(), checkEveryMs);
    }
    try {
      return await copy();
    } finally {
      if (--this.#copying === 0) {
        clearInterval(this.#timer);
        if (!this.stop.aborted) await this.#end();
      }
    }
  }

  #launch(): void {
    try {
      while (this.#children.size < this.workers() - 1 && this.#launches++ < maxLaunches) this.#start();
    } catch (error) {
      // For example, out of memory or descriptors. This worker then executes all tasks itself.
      log.warn(`cannot start a copy helper: ${messageOf(error)}`);
    }
  }

  #start(): void {
    const child = spawn(process.execPath, [...workerProgram, shareArgument], {
      stdio: ["pipe", "inherit", "inherit"],
    });
    this.#children.add(child);
    const forget = (): void => void this.#children.delete(child);
    child.once("exit", forget);
    child.once("error", forget);
    // A process that dies at once closes the pipe. Its output has the reason.
    child.stdin.on("error", () => undefined);
    child.stdin.end(JSON.stringify(this.job));
    child.unref();
  }

  async #end(): Promise<void> {
    await Promise.all([...this.#children].map(endProcess));
  }
}

async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
  await exited;
  clearTimeout(timer);
}
