import { spawn } from "node:child_process";
import { mkdir, open, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { EngineFault } from "../errors.js";
import type { Job } from "../worker/context/worker-job.js";

export interface LaunchedWorker {
  readonly pid: number;
  readonly logFile: string;
  /** Settles when the process ends while this one still lives. */
  readonly exited: Promise<number | null>;
}

/** What a worker may know of its parent's environment; all else may hold secrets of the program. */
const passedOn = [
  "PATH",
  "HOME",
  "TMPDIR",
  "LANG",
  "LC_ALL",
  "NODE_EXTRA_CA_CERTS",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "PG_DUMP",
  // Where `az`, as a passwordCommand, keeps who is logged in.
  "AZURE_CONFIG_DIR",
];

/** OpenTelemetry is told by variables alone where traces go. */
const isPassedOn = (name: string): boolean => passedOn.includes(name) || name.startsWith("OTEL_");

/** Where workers write their logs, one file a migration: `$XDG_STATE_HOME/pg-migration`, or below the home directory. */
export function logFileOf(job: Pick<Job, "migrationName" | "target">): string {
  const stateHome = process.env.XDG_STATE_HOME ?? join(homedir(), ".local", "state");
  const target = `${job.target.host}-${job.target.port}`.replace(/[^A-Za-z0-9.-]/g, "_");
  return join(stateHome, "pg-migration", `${job.migrationName}-${target}.log`);
}

/**
 * Starts a worker that outlives this process: a session of its own, standard output and error to a file, and no inherited
 * descriptor, which would keep `pulumi up` waiting for its end.
 */
export async function launchWorker(job: Job): Promise<LaunchedWorker> {
  const logFile = logFileOf(job);
  await mkdir(join(logFile, ".."), { recursive: true, mode: 0o700 });
  const log = await open(logFile, "a", 0o600);
  try {
    const child = spawn(process.execPath, [join(__dirname, "main.js")], {
      detached: true,
      cwd: "/",
      env: Object.fromEntries(Object.entries(process.env).filter(([name]) => isPassedOn(name))),
      stdio: ["pipe", log.fd, log.fd],
    });
    const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", (cause) => {
        reject(
          new EngineFault("the worker process could not be started", {
            remedy: `check that ${process.execPath} runs`,
            cause,
          }),
        );
      });
    });
    // A worker that dies at once closes its end; its log says why.
    child.stdin!.on("error", () => undefined);
    child.stdin!.end(JSON.stringify(job));
    child.unref();
    return { pid: child.pid!, logFile, exited };
  } finally {
    await log.close();
  }
}

/** The last lines that the workers of a migration have written. */
export async function logTail(logFile: string, lines = 15): Promise<string> {
  const text = await readFile(logFile, "utf8").catch(() => "");
  return text.trimEnd().split("\n").slice(-lines).join("\n");
}
