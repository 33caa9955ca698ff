import { spawn, type ChildProcess } from "node:child_process";
import { workerProgram } from "../../worker-program.js";
import type { WorkerJob } from "../context/worker-job.js";

/** Exit code of a worker that found no room in the budgets, or to which no stream was lent. */
export const noRoomExitCode = 75;

/** Message of a worker that the budgets admitted. */
export const admittedMessage = "admitted";

/** A worker that has not ended by then is killed. */
export const stopTimeoutMs = 25_000;

/** One worker process of the pool. It stops when the pool's process ends. */
export class PoolWorker {
  /** Whether the worker still waits for the budgets. */
  isWaiting: boolean;
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcess;

  /** @param programArguments command-line arguments of the worker */
  constructor(job: WorkerJob, programArguments: readonly string[] = []) {
    this.isWaiting = job.budgets !== undefined;
    this.#child = spawn(process.execPath, [...workerProgram, ...programArguments], {
      stdio: ["pipe", "inherit", "inherit", "ipc"],
    });
    this.exited = new Promise((resolve) => {
      this.#child.once("exit", (code) => resolve(code));
      // For example, out of memory or processes.
      this.#child.once("error", () => resolve(null));
    });
    this.#child.on("message", (message) => {
      if (message === admittedMessage) this.isWaiting = false;
    });
    // A process that dies at once closes the pipe. Its output has the reason.
    this.#child.stdin!.on("error", () => undefined);
    this.#child.stdin!.end(JSON.stringify(job));
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Releases the lease within seconds, or is killed after 25 s. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), stopTimeoutMs);
    await this.exited;
    clearTimeout(timer);
  }
}
