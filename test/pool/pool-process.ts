import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { commandPath } from "../cli/command";
import { until } from "../support/until";

/** `pg-migration worker --pool` as a container runs it: its workers die with it. */
export class PoolProcess {
  output = "";
  readonly child: ChildProcess;
  readonly exited: Promise<unknown[]>;

  constructor(options: readonly string[], environment: Readonly<Record<string, string>>) {
    this.child = spawn(process.execPath, [commandPath, "worker", "--pool", ...options], {
      detached: true,
      env: environment,
      stdio: ["ignore", "inherit", "pipe"],
    });
    this.exited = once(this.child, "exit");
    this.child.stderr!.on("data", (chunk: Buffer) => (this.output += chunk.toString()));
  }

  logs(pattern: RegExp): Promise<void> {
    return until(`the pool logs ${pattern.source}`, () => pattern.test(this.output));
  }

  /** The answer of its HTTP endpoints, which it serves with the option `--http 0`. */
  async get(path: string): Promise<string> {
    await this.logs(/serving .* on 127.0.0.1 port \d+/);
    const response = await fetch(`http://127.0.0.1:${/ port (\d+)/.exec(this.output)![1]!}${path}`);
    return `${response.status} ${await response.text()}`;
  }

  /** Ends it as an engine does. Its workers release their leases. */
  async stop(): Promise<void> {
    this.child.kill("SIGTERM");
    await this.exited;
  }

  /** Kills the pool and its workers at once, as the end of a machine does. */
  async killAll(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    process.kill(-this.child.pid!, "SIGKILL");
    await this.exited;
  }
}
