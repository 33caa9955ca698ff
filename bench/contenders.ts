import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import * as lifecycle from "../provider/dist/resource/lifecycle.js";
import type { EmbeddedServer, Login } from "../test/support/servers/embedded-server";
import { usageOf, type Usage } from "./process-usage";

const run = promisify(execFile);

/** The versions of the servers between which all contenders migrate. */
export const sourceMajor = 14;
export const targetMajor = 17;

export interface Course {
  readonly source: EmbeddedServer;
  readonly target: EmbeddedServer;
  readonly database: string;
  readonly jobs: number;
}

/** Migrates a database. The target has no database of this name before. The caller drops it afterwards. */
export interface Contender {
  readonly name: string;
  /** Undefined if the tool is not installed. */
  readonly version: () => Promise<string | undefined>;
  readonly migrate: (course: Course) => Promise<Usage | undefined>;
}

const environment = ({ host, port, user, password }: Login): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH,
  PGHOST: host,
  PGPORT: String(port),
  PGUSER: user,
  PGPASSWORD: password,
});

const uri = ({ host, port, user, password }: Login, database: string): string =>
  `postgres://${user}:${password}@${host}:${port}/${database}`;

/** The version that a tool prints; undefined if the tool is not installed. */
async function toolVersion(tool: string): Promise<string | undefined> {
  const { stdout } = await run(tool, ["--version"]).catch(() => ({ stdout: "" }));
  return /\d+(\.\d+)*/.exec(stdout)?.[0];
}

export function ours(verification: "none" | "content"): Contender {
  return {
    name: verification === "none" ? "pulumi-pg-migration" : "pulumi-pg-migration with verification",
    version: () => Promise.resolve("this"),
    async migrate({ source, target, database, jobs }) {
      const migrationName = `bench-${Math.random().toString(36).slice(2)}`;
      const { inputs, failures } = await lifecycle.check(
        {},
        {
          migrationName,
          source: source.login,
          target: target.login,
          dbsToMigrate: [database],
          verification,
          tableJobs: jobs,
          indexJobs: jobs,
        },
      );
      if (failures.length > 0) throw new Error(JSON.stringify(failures));
      const usage: Usage = { cpuSeconds: 0, maxRssBytes: 0 };
      const ended = new AbortController();
      const watched = watchWorker(target, migrationName, usage, ended.signal);
      const { outs } = await lifecycle.create(inputs, () => undefined).finally(() => ended.abort());
      await watched;
      await lifecycle.remove(outs);
      return usage;
    },
  };
}

async function watchWorker(target: EmbeddedServer, migration: string, usage: Usage, ended: AbortSignal): Promise<void> {
  const client = await target.connect();
  try {
    while (!ended.aborted) {
      await sleep(100);
      const { rows } = await client
        .query<{ pid: number }>("SELECT (worker ->> 'pid')::int AS pid FROM pgmigration.migration WHERE name = $1", [
          migration,
        ])
        // The migration has not created its records yet.
        .catch(() => ({ rows: [] }));
      const now = rows[0]?.pid ? await usageOf(rows[0].pid) : undefined;
      if (now) Object.assign(usage, now);
    }
  } finally {
    await client.end();
  }
}

export const dumpAndRestore: Contender = {
  name: "pg_dump -Fd, pg_restore",
  version: () => toolVersion("pg_dump"),
  async migrate({ source, target, database, jobs }) {
    const directory = await mkdtemp(join(tmpdir(), "bench-"));
    try {
      const dump = join(directory, "dump");
      await run("pg_dump", ["-Fd", "-j", String(jobs), "-Z0", "-f", dump, database], {
        env: environment(source.login),
      });
      await target.query(`CREATE DATABASE ${database}`);
      await run("pg_restore", ["-j", String(jobs), "-d", database, dump], { env: environment(target.login) });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
    return undefined;
  },
};

export const subscription: Contender = {
  name: "native subscription, initial copy",
  // The target copies the rows itself. pg_dump migrates only the schema.
  version: async () => ((await toolVersion("pg_dump")) === undefined ? undefined : String(targetMajor)),
  async migrate({ source, target, database, jobs }) {
    const directory = await mkdtemp(join(tmpdir(), "bench-"));
    try {
      const schema = join(directory, "schema");
      await run("pg_dump", ["-s", "-Fc", "-f", schema, database], { env: environment(source.login) });
      await target.query(`CREATE DATABASE ${database}`);
      await run("pg_restore", ["-d", database, schema], { env: environment(target.login) });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
    await target.query(`ALTER SYSTEM SET max_sync_workers_per_subscription = ${jobs}`);
    await target.query("SELECT pg_reload_conf()");
    await source.query("CREATE PUBLICATION bench FOR ALL TABLES", { database });
    try {
      await target.query(`CREATE SUBSCRIPTION bench CONNECTION '${uri(source.login, database)}' PUBLICATION bench`, {
        database,
      });
      const open = "SELECT FROM pg_subscription_rel WHERE srsubstate NOT IN ('r', 's') LIMIT 1";
      while ((await target.query(open, { database })).length > 0) await sleep(100);
    } finally {
      await target.query("DROP SUBSCRIPTION IF EXISTS bench", { database });
      await source.query("DROP PUBLICATION bench", { database });
    }
    return undefined;
  },
};

export const pgcopydb: Contender = {
  name: "pgcopydb",
  version: () => toolVersion("pgcopydb"),
  async migrate({ source, target, database, jobs }) {
    const directory = await mkdtemp(join(tmpdir(), "bench-"));
    try {
      await target.query(`CREATE DATABASE ${database}`);
      const args = ["--table-jobs", String(jobs), "--index-jobs", String(jobs), "--dir", join(directory, "work")];
      const ends = ["--source", uri(source.login, database), "--target", uri(target.login, database)];
      await run("pgcopydb", ["clone", ...ends, ...args], { env: { PATH: process.env.PATH }, maxBuffer: 1 << 30 });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
    return undefined;
  },
};
