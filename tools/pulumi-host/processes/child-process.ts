import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

export interface ChildOptions {
  readonly command: string;
  readonly arguments: readonly string[];
  readonly directory: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Text for its standard input. */
  readonly input?: string;
  readonly onOutput: (line: string) => void;
  readonly onErrorOutput: (line: string) => void;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const outputGraceMs = 1000;

const running = new Set<Child>();

process.on("exit", () => {
  for (const child of running) child.kill();
});

/**
 * A child in its own process group. Ctrl-C reaches only this process, which ends its children in the right order. Ending a
 * group also ends the processes that the child started.
 */
export class Child {
  readonly exited: Promise<Exit>;
  readonly #process: ChildProcess;

  constructor(options: ChildOptions) {
    const spawnOptions: SpawnOptions = {
      cwd: options.directory,
      env: options.environment,
      stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      detached: true,
    };
    this.#process = spawn(options.command, options.arguments, spawnOptions);
    this.#readLines(options);
    // A child may end without reading its input.
    this.#process.stdin?.on("error", () => undefined).end(options.input);
    running.add(this);
    this.exited = new Promise<Exit>((resolve, reject) => {
      this.#process.once("error", reject);
      // The last output precedes "close". A grandchild that inherited the pipes can delay "close" indefinitely.
      this.#process.once("close", (code, signal) => resolve({ code, signal }));
      this.#process.once("exit", (code, signal) => setTimeout(() => resolve({ code, signal }), outputGraceMs).unref());
    }).finally(() => running.delete(this));
    this.exited.catch(() => undefined);
  }

  #readLines(options: ChildOptions): void {
    const { stdout, stderr } = this.#process;
    if (stdout) createInterface({ input: stdout }).on("line", options.onOutput);
    if (stderr) createInterface({ input: stderr }).on("line", options.onErrorOutput);
  }

  /** Asks the child to end, and kills it after the grace period. */
  async end(graceMs: number): Promise<void> {
    this.#signal("SIGTERM");
    if (!(await this.exitsWithin(graceMs))) this.kill();
    await this.exited.catch(() => undefined);
  }

  async exitsWithin(milliseconds: number): Promise<boolean> {
    const timer = new AbortController();
    const late = sleep(milliseconds, false, { signal: timer.signal }).catch(() => false);
    const exited = this.exited.then(
      () => true,
      () => true,
    );
    const inTime = await Promise.race([exited, late]);
    timer.abort();
    return inTime;
  }

  /** Sends the signal of Ctrl-C. */
  interrupt(): void {
    this.#process.kill("SIGINT");
  }

  kill(): void {
    this.#signal("SIGKILL");
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#process.pid === undefined || this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    try {
      process.kill(-this.#process.pid, signal);
    } catch {
      this.#process.kill(signal);
    }
  }
}
