import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { until } from "../support/until";

const workerCommand = [resolve("provider/bin/pg-migration.js"), "worker"];
export const stayCommand = [...workerCommand, "--stay"];

/** Starts a worker for the migration of a resource with these inputs. */
type StartWorker = (
  inputs: Readonly<Record<string, unknown>>,
  options?: readonly string[],
  environment?: Readonly<Record<string, string>>,
) => StayingWorker;

/** The workers of a suite, which are killed after each test. Their logs are shown if it failed. Call it in `describe`. */
export function stayingWorkers(): { readonly workers: readonly StayingWorker[]; readonly start: StartWorker } {
  const workers: StayingWorker[] = [];
  afterEach(async function () {
    if (this.currentTest?.state === "failed") for (const { output } of workers) console.log(output);
    for (const { child, exited } of workers.splice(0)) {
      child.kill("SIGKILL");
      await exited;
    }
  });
  const start: StartWorker = ({ migrationName, source, target }, options, environment) => {
    const worker = new StayingWorker({ migrationName, source, target }, options, environment);
    workers.push(worker);
    return worker;
  };
  return { workers, start };
}

/** `pg-migration worker --stay`, as a container runs it, or with other options. */
export class StayingWorker {
  output = "";
  readonly child: ChildProcess;
  readonly exited: Promise<unknown[]>;

  constructor(
    job: unknown,
    options: readonly string[] = ["--stay"],
    environment: Readonly<Record<string, string>> = { PG_MIGRATION_JOB: JSON.stringify(job) },
  ) {
    this.child = spawn(process.execPath, [...workerCommand, ...options], {
      env: { PATH: process.env.PATH, ...environment },
      stdio: ["ignore", "inherit", "pipe"],
    });
    this.exited = once(this.child, "exit");
    this.child.stderr!.on("data", (chunk: Buffer) => (this.output += chunk.toString()));
  }

  /** The address of its HTTP endpoints. */
  async url(): Promise<string> {
    await this.logs(/serving .* on 127.0.0.1 port \d+/);
    return `http://127.0.0.1:${/ port (\d+)/.exec(this.output)![1]!}`;
  }

  logs(pattern: RegExp): Promise<void> {
    return until(`the worker logs ${pattern.source}`, () => pattern.test(this.output));
  }
}
