import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { messageOf } from "../../errors.js";
import { shareArgument } from "../help-copying.js";
import type { Job } from "../context/worker-job.js";

const lookEveryMs = 5000;
/** So that one that cannot even start is not started for ever. */
const mostLaunches = 50;
const endsWithinMs = 10_000;

/** Processes on this machine that share the copies which this one leads; one that dies is replaced. */
export class LocalHelpers {
  readonly #children = new Set<ChildProcess>();
  #copying = 0;
  #launches = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param workers how many processes are to work, this one included
   * @param stop this one is told to stop: the others then keep the snapshot for its successor
   */
  constructor(
    readonly job: Job,
    readonly workers: () => number,
    readonly stop: AbortSignal,
  ) {}

  /** Has them at work while this runs. */
  async during<T>(copy: () => Promise<T>): Promise<T> {
    if (this.#copying++ === 0) {
      this.#launch();
      this.#timer = setInterval(() => this.#launch(), lookEveryMs);
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
      while (this.#children.size < this.workers() - 1 && this.#launches++ < mostLaunches) this.#start();
    } catch (error) {
      // For want of memory or descriptors, for example: this one copies by itself what they would have shared.
      process.stderr.write(`a process to share the copy cannot be started: ${messageOf(error)}\n`);
    }
  }

  #start(): void {
    const child = spawn(process.execPath, [join(__dirname, "main.js"), shareArgument], {
      stdio: ["pipe", "inherit", "inherit"],
    });
    this.#children.add(child);
    const forget = (): void => void this.#children.delete(child);
    child.once("exit", forget);
    child.once("error", forget);
    // A process that dies at once closes its end; its output says why.
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
  const timer = setTimeout(() => child.kill("SIGKILL"), endsWithinMs);
  await exited;
  clearTimeout(timer);
}
