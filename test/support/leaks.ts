import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readlinkSync } from "node:fs";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runningServers, type EmbeddedServer } from "./servers/embedded-server";
import { removeTemporaryFolder, takeLeftFiles, temporaryFolder } from "./temporary-folder";

/** A session or process that was told to end may take this long. */
const graceMs = 60_000;

// Workers write their logs here. The folder identifies the workers of this process, and nothing is left in the home.
const stateHome = join(temporaryFolder, "worker-state");
mkdirSync(stateHome);
process.env.XDG_STATE_HOME = stateHome;
// Registered after the exit handler of the servers, which lie in this folder.
process.on("exit", removeTemporaryFolder);

/** Fails a test that leaves a worker, a session, a slot or a publication, and a file of tests that leaves files. */
export const mochaHooks = {
  async afterEach(this: Mocha.Context): Promise<void> {
    const deadline = Date.now() + graceMs;
    let left = await objectsNotReplicated();
    while (left.length > 0 && Date.now() < deadline) {
      await sleep(100);
      left = await objectsNotReplicated();
    }
    if (left.length === 0) return;
    endWorkers();
    throw new Error(`left behind by "${this.currentTest?.fullTitle() ?? "?"}":\n  ${left.join("\n  ")}`);
  },
  afterAll(this: Mocha.Context): void {
    const left = takeLeftFiles();
    if (left.length === 0) return;
    const files = this.test?.parent?.suites.map(({ file }) => relative(".", file ?? "")) ?? [];
    throw new Error(`temporary files left by ${[...new Set(files)].join(", ")}:\n  ${left.join("\n  ")}`);
  },
};

async function objectsNotReplicated(): Promise<string[]> {
  const servers = await Promise.all(runningServers().map(leftOnServer));
  return [...workers(), ...servers.flat()];
}

function workers(): string[] {
  const ours = logWriters();
  if (ours?.size === 0) return [];
  const processes = execFileSync("ps", ["-eo", "pid,stat,args"], { encoding: "utf8" }).split("\n");
  return processes
    .filter((line) => /dist\/worker\/main\.js/.test(line) && !/^\s*\d+\s+Z/.test(line))
    .filter((line) => ours?.has(Number.parseInt(line)) ?? true)
    .map((line) => `worker: ${line.trim()}`);
}

/** Else the tests of other files would be blamed for them, too. */
function endWorkers(): void {
  for (const pid of logWriters() ?? []) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended by itself just now.
    }
  }
}

/** Who writes to a log below our folder; undefined where the system does not tell, and every worker counts. */
function logWriters(): Set<number> | undefined {
  if (process.platform !== "linux") return undefined;
  return new Set(
    readdirSync("/proc")
      .map(Number)
      .filter((pid) => pid > 0 && writesTo(pid).startsWith(stateHome)),
  );
}

function writesTo(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/1`);
  } catch {
    // It has ended, or is somebody else's.
    return "";
  }
}

async function leftOnServer(server: EmbeddedServer): Promise<string[]> {
  const where = `on PostgreSQL ${server.major}:${server.port}`;
  const rows = await server.query<{ what: string | null; database: string }>(
    `SELECT format('slot %s', slot_name) AS what, NULL AS database FROM pg_replication_slots
     UNION ALL
     SELECT format('session %s in %s', application_name, datname), NULL FROM pg_stat_activity
      WHERE application_name LIKE 'pg-migration%'
        -- Tests open sessions of their own this way, which they keep from one test to the next.
        AND application_name <> 'pg-migration test'
     UNION ALL
     -- Where a publication was ever made: the file of pg_publication, whose number every database keeps, is not empty.
     SELECT NULL, datname FROM pg_database
      WHERE datallowconn AND (pg_stat_file(format('base/%s/6104', oid), true)).size IS DISTINCT FROM 0`,
  );
  const published = rows.filter(({ what }) => what === null);
  const publications = await Promise.all(published.map(({ database }) => publicationsIn(server, database)));
  return [...rows.flatMap(({ what }) => what ?? []), ...publications.flat()].map((what) => `${what} ${where}`);
}

async function publicationsIn(server: EmbeddedServer, database: string): Promise<string[]> {
  if (server.major < 10) return [];
  const rows = await server.query<{ pubname: string }>(
    "SET statement_timeout = 0; SELECT pubname FROM pg_catalog.pg_publication WHERE pubname LIKE 'pg_migration%'",
    { database },
  );
  return rows.map(({ pubname }) => `publication ${pubname} in ${database}`);
}
