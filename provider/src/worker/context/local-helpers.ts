import { log } from "../../log.js";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { messageOf } from "../../errors.js";
import { workerProgram } from "../../worker-program.js";
import { shareArgument, type WorkerJob } from "./worker-job.js";
import type { ProcessHelpers } from "./work.js";

const checkEveryMs = 5000;
/** Limits the restarts of a helper that dies at once. */
const maxLaunches = 50;
const stopTimeoutMs = 10_000;

/** Processes on this machine that share copies and comparisons of this worker. A process that dies is replaced. */
export class LocalHelpers implements ProcessHelpers {
  readonly #children = new Set<ChildProcess>();
  #running = 0;
  #launches = 0;
  #timer: NodeJS.Timeout | undefined;
  #ending: Promise<unknown> = Promise.resolve();

  /**
   * @param workers number of processes, including this one
   * @param stop aborts when this worker is stopped; the helpers then hold the snapshot for its successor
   */
  constructor(
    readonly job: WorkerJob,
    readonly workers: () => number,
    readonly stop: AbortSignal,
  ) {}

  get count(): number {
    return this.workers() - 1;
  }

  async during<Result>(run: () => Promise<Result>, startsAtOnce = true): Promise<Result> {
    if (this.#running++ === 0) {
      this.#launches = 0;
      if (startsAtOnce) this.#launch();
      this.#timer = setInterval(() => this.#launch(), checkEveryMs);
    }
    try {
      return await run();
    } finally {
      if (--this.#running === 0) {
        clearInterval(this.#timer);
        // Not awaited: a cutover must not wait for the end of a process.
        if (!this.stop.aborted) this.#end();
      }
    }
  }

  /** Waits for the exit of the processes that are no longer needed. */
  async close(): Promise<void> {
    await this.#ending;
  }

  #launch(): void {
    try {
      while (this.#children.size < this.count && this.#launches++ < maxLaunches) this.#start();
    } catch (error) {
      // For example, out of memory or descriptors. This worker then executes all tasks itself.
      log.warn(`cannot start a helper: ${messageOf(error)}`);
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

  #end(): void {
    this.#ending = Promise.allSettled([this.#ending, ...[...this.#children].map(endProcess)]);
    this.#children.clear();
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
