import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import * as lifecycle from "../provider/dist/resource/lifecycle.js";
import type { Login } from "../test/support/servers/embedded-server";
import { targetMajor } from "./cores/bench-servers";
import type { Servers } from "./cores/measurement";

const run = promisify(execFile);

export interface Course extends Servers {
  /** The logins of the contenders. They lead through a proxy if the servers are far. */
  readonly sourceLogin: Login;
  readonly targetLogin: Login;
  readonly database: string;
  readonly jobs: number;
}

/** Migrates a database. The target has no database of this name before. The caller drops it afterwards. */
export interface Contender {
  readonly name: string;
  readonly migrate: (course: Course) => Promise<void>;
}

/** Another tool. */
export interface Peer extends Contender {
  /** The name in `--peer`. */
  readonly option: string;
  /** Undefined if the tool is not installed. */
  readonly version: () => Promise<string | undefined>;
}

export const environment = ({ host, port, user, password }: Login): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH,
  PGHOST: host,
  PGPORT: String(port),
  PGUSER: user,
  PGPASSWORD: password,
});

const uriWithoutPassword = ({ host, port, user }: Login, database: string): string =>
  `postgres://${user}@${host}:${port}/${database}`;

const uri = ({ host, port, user, password }: Login, database: string): string =>
  `postgres://${user}:${password}@${host}:${port}/${database}`;

/** The version that a tool prints; undefined if the tool is not installed. */
export async function toolVersion(tool: string): Promise<string | undefined> {
  const { stdout } = await run(tool, ["--version"]).catch(() => ({ stdout: "" }));
  return /\d+(\.\d+)*/.exec(stdout)?.[0];
}

export function ours(verification: "none" | "content"): Contender {
  return {
    name: verification === "none" ? "pulumi-pg-migration" : "pulumi-pg-migration with verification",
    async migrate({ sourceLogin, targetLogin, database, jobs }) {
      const { inputs, failures } = await lifecycle.check(
        {},
        {
          migrationName: `bench-${Math.random().toString(36).slice(2)}`,
          source: sourceLogin,
          target: targetLogin,
          dbsToMigrate: [database],
          verification,
          tableJobs: jobs,
          indexJobs: jobs,
        },
      );
      if (failures.length > 0) throw new Error(JSON.stringify(failures));
      const { outs } = await lifecycle.create(inputs, () => undefined);
      await lifecycle.remove(outs);
    },
  };
}

const dumpAndRestore: Peer = {
  option: "pg_dump",
  name: "pg_dump -Fd, pg_restore",
  version: () => toolVersion("pg_dump"),
  async migrate({ target, sourceLogin, targetLogin, database, jobs }) {
    const directory = await mkdtemp(join(tmpdir(), "bench-"));
    try {
      const dump = join(directory, "dump");
      await run("pg_dump", ["-Fd", "-j", String(jobs), "-Z0", "-f", dump, database], {
        env: environment(sourceLogin),
      });
      await target.query(`CREATE DATABASE ${database}`);
      await run("pg_restore", ["-j", String(jobs), "-d", database, dump], { env: environment(targetLogin) });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
};

const subscription: Peer = {
  option: "native",
  name: "native subscription, initial copy",
  // The target copies the rows itself. pg_dump migrates only the schema.
  version: async () => ((await toolVersion("pg_dump")) === undefined ? undefined : String(targetMajor)),
  async migrate({ source, target, sourceLogin, targetLogin, database, jobs }) {
    const directory = await mkdtemp(join(tmpdir(), "bench-"));
    try {
      const schema = join(directory, "schema");
      await run("pg_dump", ["-s", "-Fc", "-f", schema, database], { env: environment(sourceLogin) });
      await target.query(`CREATE DATABASE ${database}`);
      await run("pg_restore", ["-d", database, schema], { env: environment(targetLogin) });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
    await target.query(`ALTER SYSTEM SET max_sync_workers_per_subscription = ${jobs}`);
    await target.query("SELECT pg_reload_conf()");
    await source.query("CREATE PUBLICATION bench FOR ALL TABLES", { database });
    try {
      await target.query(`CREATE SUBSCRIPTION bench CONNECTION '${uri(sourceLogin, database)}' PUBLICATION bench`, {
        database,
      });
      const open = "SELECT FROM pg_subscription_rel WHERE srsubstate NOT IN ('r', 's') LIMIT 1";
      while ((await target.query(open, { database })).length > 0) await sleep(100);
    } finally {
      await target.query("DROP SUBSCRIPTION IF EXISTS bench", { database });
      await source.query("DROP PUBLICATION bench", { database });
    }
  },
};

const pgcopydb: Peer = {
  option: "pgcopydb",
  name: "pgcopydb",
  version: () => toolVersion("pgcopydb"),
  async migrate({ target, sourceLogin, targetLogin, database, jobs }) {
    const directory = await mkdtemp(join(tmpdir(), "bench-"));
    try {
      await target.query(`CREATE DATABASE ${database}`);
      const args = ["--table-jobs", String(jobs), "--index-jobs", String(jobs), "--dir", join(directory, "work")];
      const ends = [
        "--source",
        uriWithoutPassword(sourceLogin, database),
        "--target",
        uriWithoutPassword(targetLogin, database),
      ];
      // Both servers have the same password. A failure prints the arguments.
      const env = { PATH: process.env.PATH, PGPASSWORD: sourceLogin.password };
      await run("pgcopydb", ["clone", ...ends, ...args], { env, maxBuffer: 1 << 30 });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
};

export const peers: readonly Peer[] = [dumpAndRestore, subscription, pgcopydb];
