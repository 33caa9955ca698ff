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

  /** Kills the pool and its workers at once, as the end of a machine does. */
  async killAll(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    process.kill(-this.child.pid!, "SIGKILL");
    await this.exited;
  }
}
