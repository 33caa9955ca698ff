import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { until } from "../support/until";

export const stayCommand = [resolve("provider/bin/pg-migration.js"), "worker", "--stay"];

/** `pg-migration worker --stay`, as a container runs it. */
export class StayingWorker {
  output = "";
  readonly child: ChildProcess;
  readonly exited: Promise<unknown[]>;

  constructor(job: unknown) {
    this.child = spawn(process.execPath, stayCommand, {
      env: { PATH: process.env.PATH, PG_MIGRATION_JOB: JSON.stringify(job) },
      stdio: ["ignore", "inherit", "pipe"],
    });
    this.exited = once(this.child, "exit");
    this.child.stderr!.on("data", (chunk: Buffer) => (this.output += chunk.toString()));
  }

  logs(pattern: RegExp): Promise<void> {
    return until(`the worker logs ${pattern.source}`, () => pattern.test(this.output));
  }
}
