import { execFileSync } from "node:child_process";
import { mkdtempSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runningServers, type EmbeddedServer } from "./embedded-server";

/** A session or process that was told to end may take this long. */
const graceMs = 5000;

// Workers write their logs here, so that those of this run are known from others, and nothing is left in the home.
const stateHome = mkdtempSync(join(tmpdir(), "pg-migration-state-"));
process.env.XDG_STATE_HOME = stateHome;
process.on("exit", () => rmSync(stateHome, { recursive: true, force: true }));

/** Fails a test that leaves a worker, a session of ours, a slot or a publication behind. */
export const mochaHooks = {
  async afterEach(this: Mocha.Context): Promise<void> {
    const deadline = Date.now() + graceMs;
    let left = await leftBehind();
    while (left.length > 0 && Date.now() < deadline) {
      await sleep(100);
      left = await leftBehind();
    }
    if (left.length > 0)
      throw new Error(`left behind by "${this.currentTest?.fullTitle() ?? "?"}":\n  ${left.join("\n  ")}`);
  },
};

async function leftBehind(): Promise<string[]> {
  const servers = await Promise.all(runningServers().map(leftOnServer));
  return [...workers(), ...servers.flat()];
}

function workers(): string[] {
  const processes = execFileSync("ps", ["-eo", "pid,stat,args"], { encoding: "utf8" }).split("\n");
  return processes
    .filter((line) => /dist\/worker\/main\.js/.test(line) && !/^\s*\d+\s+Z/.test(line))
    .filter((line) => isOfThisRun(Number.parseInt(line)))
    .map((line) => `worker: ${line.trim()}`);
}

/** By its standard output, a log below our folder; where the system does not tell, every worker counts. */
function isOfThisRun(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/fd/1`).startsWith(stateHome);
  } catch {
    return process.platform !== "linux";
  }
}

async function leftOnServer(server: EmbeddedServer): Promise<string[]> {
  const where = `on PostgreSQL ${server.major}:${server.port}`;
  const rows = await server.query<{ what: string }>(
    `SELECT format('slot %s', slot_name) AS what FROM pg_replication_slots
     UNION ALL
     SELECT format('session %s in %s', application_name, datname) FROM pg_stat_activity
      WHERE application_name LIKE 'pg-migration%'
        -- Tests open sessions of their own this way, which they keep from one test to the next.
        AND application_name <> 'pg-migration test'`,
  );
  const databases = await server.query<{ name: string }>("SELECT datname AS name FROM pg_database WHERE datallowconn");
  const publications = await Promise.all(databases.map(({ name }) => publicationsIn(server, name)));
  return [...rows.map(({ what }) => `${what} ${where}`), ...publications.flat().map((what) => `${what} ${where}`)];
}

async function publicationsIn(server: EmbeddedServer, database: string): Promise<string[]> {
  if (server.major < 10) return [];
  const rows = await server.query<{ pubname: string }>(
    "SET statement_timeout = 0; SELECT pubname FROM pg_catalog.pg_publication WHERE pubname LIKE 'pg_migration%'",
    { database },
  );
  return rows.map(({ pubname }) => `publication ${pubname} in ${database}`);
}
