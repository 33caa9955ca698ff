import { spawn } from "node:child_process";
import { mkdir, open, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { EngineError } from "../errors.js";
import { type TokenAuthentication, usesToken } from "../postgres/authentication/authentication.js";
import type { WorkerJob } from "../worker/context/worker-job.js";
import { workerProgram } from "../worker-program.js";

export interface LaunchedWorker {
  readonly pid: number;
  readonly logFile: string;
  /** Resolves with the exit code when the worker ends before this process does. */
  readonly exited: Promise<number | null>;
}

/** Environment variables that a worker inherits. All others may hold secrets of the Pulumi program. */
const inheritedVariables = [
  "PATH",
  "HOME",
  "TMPDIR",
  "LANG",
  "LC_ALL",
  "NODE_EXTRA_CA_CERTS",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "PG_DUMP",
  "PG_MIGRATION_LOG_FORMAT",
  "PG_MIGRATION_LOG_LEVEL",
  // `az` keeps its login there.
  "AZURE_CONFIG_DIR",
];

/** Variables of the cloud platforms' credentials, which a worker needs for tokens only. */
const variablesOfTokens: Readonly<Record<TokenAuthentication["kind"], RegExp>> = {
  entra: /^(AZURE|IDENTITY|IMDS|MSI)_/,
  rdsIam: /^AWS_/,
  cloudSqlIam: /^(CLOUDSDK|GCE|GCLOUD|GOOGLE|METADATA)_/,
};

const variablesOfProxies = /^(https?|no)_proxy$/i;

/** OpenTelemetry is configured by `OTEL_*` variables only. */
const isInherited = (name: string): boolean => inheritedVariables.includes(name) || name.startsWith("OTEL_");

function environmentOf({ source, target }: WorkerJob): NodeJS.ProcessEnv {
  const ofTokens = [source.auth, target.auth]
    .filter(usesToken)
    .flatMap(({ kind }) => [variablesOfTokens[kind], variablesOfProxies]);
  const isNeeded = (name: string): boolean => isInherited(name) || ofTokens.some((names) => names.test(name));
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => isNeeded(name)));
}

/** The log file of a migration's workers, in `$XDG_STATE_HOME/pg-migration` (default: `~/.local/state/pg-migration`). */
export function logFileOf(job: Pick<WorkerJob, "migrationName" | "target">): string {
  const stateHome = process.env.XDG_STATE_HOME ?? join(homedir(), ".local", "state");
  const target = `${job.target.host}-${job.target.port}`.replace(/[^A-Za-z0-9.-]/g, "_");
  return join(stateHome, "pg-migration", `${job.migrationName}-${target}.log`);
}

/**
 * Starts a worker that outlives this process. It has its own process session, writes its output to a file, and inherits no
 * descriptor. An inherited descriptor would keep `pulumi up` waiting for the worker's end.
 */
export async function launchWorker(job: WorkerJob): Promise<LaunchedWorker> {
  const logFile = logFileOf(job);
  await mkdir(join(logFile, ".."), { recursive: true, mode: 0o700 });
  const log = await open(logFile, "a", 0o600);
  try {
    const child = spawn(process.execPath, workerProgram, {
      detached: true,
      cwd: "/",
      env: environmentOf(job),
      stdio: ["pipe", log.fd, log.fd],
    });
    const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", (cause) => {
        reject(
          new EngineError("the worker process could not be started", {
            remedy: `check that ${process.execPath} runs`,
            cause,
          }),
        );
      });
    });
    // A worker that dies at once closes the pipe. Its log has the reason.
    child.stdin!.on("error", () => undefined);
    child.stdin!.end(JSON.stringify(job));
    child.unref();
    return { pid: child.pid!, logFile, exited };
  } finally {
    await log.close();
  }
}

/** The last lines of a worker log; empty if the file cannot be read. */
export async function logTail(logFile: string, lines = 15): Promise<string> {
  const text = await readFile(logFile, "utf8").catch(() => "");
  return text.trimEnd().split("\n").slice(-lines).join("\n");
}
