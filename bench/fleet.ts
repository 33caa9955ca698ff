import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseInputs } from "../provider/dist/inputs/check-inputs.js";
import { specOf } from "../provider/dist/inputs/inputs.js";
import { recordRequests } from "../provider/dist/resource/apply-inputs.js";
import { insertMigration } from "../provider/dist/store/records.js";
import { withStore } from "../provider/dist/store/store.js";
import { eraseMigration } from "../provider/dist/worker/cleanup/erase-migration.js";
import { CommandLine } from "../test/cli/command";
import { PoolProcess } from "../test/pool/pool-process";
import { assertSameContent } from "../test/support/content";
import { Lab } from "../test/support/lab";
import { leftOnServer } from "../test/support/servers/left-on-server";
import { median } from "./median";
import type { BenchOptions } from "./options";
import { markdownTable } from "./results";

/** Pairs of databases, one migration each. */
export const fleetSets = [10, 30, 100].map((pairs) => ({ name: `${pairs} pairs`, pairs }));

const labs = 2;
const poolProcesses = 2;
const migrationsAtOnce = 3;
/** An interrupted benchmark also ends its pools. */
const endWithProcess = (pool: PoolProcess): PoolProcess => {
  process.once("exit", () => pool.child.kill("SIGKILL"));
  return pool;
};
/** One kill for this many migrations. */
const migrationsPerKill = 5;
const sampleMs = 200;
/** Beyond it, a migration hangs. */
const longestSecondsPerPair = 120;

/** The output of `npm run bench -- fleet --json` for one size of the fleet. */
export interface FleetResult {
  readonly name: string;
  readonly pairs: number;
  /** From the start of the pool until the last migration has succeeded. */
  readonly seconds: number;
  /** Of one migration, from its first step until its end, with all its workers. */
  readonly medianMigrationSeconds: number;
  readonly workers: number;
  readonly kills: number;
  /** The largest memory of a worker process: the median over the workers, and the largest. */
  readonly medianWorkerBytes: number;
  readonly largestWorkerBytes: number;
  /** The largest memory of a pool process. */
  readonly poolBytes: number;
}

interface Pair {
  readonly lab: Lab;
  readonly database: string;
  readonly inputs: ReturnType<typeof parseInputs>;
}

/**
 * Migrates fleets of small databases with a pool, half of them online, while workers are killed at random.
 *
 * @throws if a migration fails, the content of a pair differs, or anything is left behind
 */
export async function benchFleet(options: BenchOptions): Promise<FleetResult[]> {
  const servers: Lab[] = [];
  try {
    for (let i = 0; i < labs; i++) servers.push(await startLab());
    const results: FleetResult[] = [];
    for (const set of fleetSets.filter(({ name }) => options.sets?.includes(name) ?? true)) {
      results.push(await migrateFleet(servers, set, options));
      options.say(`${set.name}: ${results.at(-1)!.seconds.toFixed(1)} s, all equal, nothing left behind`);
    }
    return results;
  } finally {
    for (const lab of servers) await lab.stop();
  }
}

function startLab(): Promise<Lab> {
  const parameters = { max_replication_slots: 60, max_wal_senders: 60 };
  return Lab.start({ source: { parameters }, target: { parameters } });
}

async function migrateFleet(
  servers: readonly Lab[],
  { name, pairs: count }: (typeof fleetSets)[number],
  { scale, say }: BenchOptions,
): Promise<FleetResult> {
  const command = await CommandLine.in(servers[0]!);
  const pools: PoolProcess[] = [];
  try {
    const pairs: Pair[] = [];
    for (let i = 0; i < count; i++) pairs.push(await createPair(servers[i % servers.length]!, i, scale));
    say(`${name}: created`);
    const list = await targetList(command, servers);
    const startedAt = Date.now();
    for (let i = 0; i < poolProcesses; i++) pools.push(startPool(list, command));
    const watch = new WorkerWatch(pools.map(({ child }) => child.pid!));
    const kills = await killUntilDone({ pairs, watch, most: Math.ceil(count / migrationsPerKill), say });
    const seconds = (Date.now() - startedAt) / 1000;
    for (const pool of pools.splice(0)) await pool.stop();
    for (const { lab, database } of pairs) await assertSameContent(...lab.places(database));
    const durations = await durationsOf(servers);
    await mustLeaveNothing(servers, pairs, watch);
    return { name, pairs: count, seconds, medianMigrationSeconds: median(durations), kills, ...watch.summary() };
  } finally {
    for (const pool of pools) await pool.killAll();
    await command.close();
  }
}

const tables = (scale: number): string => `
  CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, email text UNIQUE);
  CREATE TABLE invoice (id int PRIMARY KEY, customer int NOT NULL REFERENCES customer, amount numeric, note text);
  CREATE INDEX ON invoice (customer);
  CREATE VIEW total AS SELECT customer, sum(amount) AS amount FROM invoice GROUP BY customer;
  INSERT INTO customer SELECT i, 'name ' || i, md5(i::text) FROM generate_series(1, ${Math.ceil(1000 * scale)}) i;
  INSERT INTO invoice SELECT i, 1 + i % ${Math.ceil(1000 * scale)}, i, repeat(md5(i::text), 4)
    FROM generate_series(1, ${Math.ceil(10_000 * scale)}) i;`;

/** A database, and a recorded migration that waits for the pool. Every second one is online, and is cut over at once. */
async function createPair(lab: Lab, index: number, scale: number): Promise<Pair> {
  const database = await lab.database(tables(scale));
  // The servers alternate, too.
  const isOnline = Math.floor(index / labs) % 2 === 1;
  const online = { migrationMode: "Online", triggerCutover: true };
  const inputs = parseInputs(lab.inputs([database], { runner: "external", ...(isOnline ? online : {}) }));
  await withStore(inputs, "bench", async (store) => {
    await insertMigration(store, specOf(inputs));
    await recordRequests(store, specOf(inputs));
  });
  return { lab, database, inputs };
}

async function targetList(command: CommandLine, servers: readonly Lab[]): Promise<string> {
  const lines = await Promise.all(
    servers.map(async ({ administrator: { host, port, user, password } }, i) => {
      const passwordFile = await command.file(`password-${i}`, `${password}\n`);
      return `target-${i},${host},${port},${user},Disable,${passwordFile}`;
    }),
  );
  return command.file("targets.csv", ["name,host,port,user,sslMode,passwordFile", ...lines, ""].join("\n"));
}

const startPool = (list: string, { environment }: CommandLine): PoolProcess =>
  endWithProcess(new PoolProcess(["--targets", list, "--max-migrations", String(migrationsAtOnce)], environment));

interface Run {
  readonly pairs: readonly Pair[];
  readonly watch: WorkerWatch;
  readonly most: number;
  readonly say: (line: string) => void;
}

/** Kills a random worker every few seconds. @returns the number of kills */
async function killUntilDone({ pairs, watch, most, say }: Run): Promise<number> {
  const deadline = Date.now() + longestSecondsPerPair * 1000 * pairs.length;
  let kills = 0;
  let killAt = Date.now() + 2000;
  let ended = -1;
  for (;;) {
    const working = watch.sample();
    if (Date.now() >= killAt && kills < most && working.length > 0) {
      process.kill(working[Math.floor(Math.random() * working.length)]!, "SIGKILL");
      kills++;
      killAt = Date.now() + 1000 + Math.random() * 4000;
    }
    const states = await statesOf(pairs);
    const bad = states.filter(({ state }) => state === "Failed" || state === "ValidationFailed");
    if (bad.length > 0) throw new Error(bad.map(({ name, error }) => `${name}: ${error ?? "failed"}`).join("\n"));
    const succeeded = states.filter(({ state }) => state === "Succeeded").length;
    if (succeeded !== ended) say(`  ${succeeded} of ${pairs.length} succeeded, ${kills} workers killed`);
    ended = succeeded;
    if (succeeded === pairs.length) return kills;
    if (Date.now() > deadline) throw new Error(`${pairs.length - succeeded} migrations did not end`);
    await sleep(sampleMs);
  }
}

interface MigrationRow {
  readonly name: string;
  readonly state: string;
  readonly error: string | null;
  readonly seconds: number | null;
}

const rowsOf = ({ target }: Lab): Promise<MigrationRow[]> =>
  target.query<MigrationRow & Record<string, unknown>>(
    `SELECT name, state, error, extract(epoch FROM ended_at - validation_started_at)::float8 AS seconds
       FROM pgmigration.migration`,
  );

async function statesOf(pairs: readonly Pair[]): Promise<MigrationRow[]> {
  return (await Promise.all([...new Set(pairs.map(({ lab }) => lab))].map(rowsOf))).flat();
}

const durationsOf = async (servers: readonly Lab[]): Promise<number[]> =>
  (await Promise.all(servers.map(rowsOf))).flat().flatMap(({ seconds }) => seconds ?? []);

/** Also removes the records and the databases, so that the next fleet begins on empty servers. */
async function mustLeaveNothing(servers: readonly Lab[], pairs: readonly Pair[], watch: WorkerWatch): Promise<void> {
  const left = (await Promise.all(servers.flatMap(({ source, target }) => [source, target]).map(leftOnServer))).flat();
  left.push(...watch.sample().map((pid) => `worker process ${pid}`));
  for (const { inputs } of pairs) await withStore(inputs, "bench", (store) => eraseMigration(store, inputs));
  for (const lab of servers) {
    const ours = pairs.filter((pair) => pair.lab === lab).map(({ database }) => database);
    left.push(...(await lab.targetDatabases()).filter((one) => !ours.includes(one)).map((one) => `database ${one}`));
    const [records] = await lab.target.query("SELECT FROM pg_namespace WHERE nspname = 'pgmigration'");
    if (records) left.push(`the records on port ${lab.target.port}`);
    for (const database of ours)
      for (const server of [lab.source, lab.target]) await server.query(`DROP DATABASE ${database}`);
  }
  if (left.length > 0) throw new Error(`left behind:\n  ${left.join("\n  ")}`);
}

/** The worker processes of the pools, and the memory of all their processes. */
class WorkerWatch {
  readonly #workers = new Map<number, number>();
  #poolBytes = 0;

  constructor(readonly pools: readonly number[]) {}

  /** Reads the memory of all processes. @returns the workers that run now */
  sample(): number[] {
    for (const pool of this.pools) this.#poolBytes = Math.max(this.#poolBytes, memoryOf(pool).peakBytes);
    return processIds().filter((pid) => {
      const { parent, peakBytes } = memoryOf(pid);
      if (!this.pools.includes(parent) || peakBytes === 0) return false;
      this.#workers.set(pid, peakBytes);
      return true;
    });
  }

  summary(): Pick<FleetResult, "workers" | "medianWorkerBytes" | "largestWorkerBytes" | "poolBytes"> {
    const bytes = [...this.#workers.values()];
    return {
      workers: bytes.length,
      medianWorkerBytes: median(bytes),
      largestWorkerBytes: Math.max(...bytes),
      poolBytes: this.#poolBytes,
    };
  }
}

const processIds = (): number[] =>
  readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0);

/** A process that has just ended has no memory. */
function memoryOf(pid: number): { readonly parent: number; readonly peakBytes: number } {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const number = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
    return { parent: number("PPid"), peakBytes: number("VmHWM") * 1024 };
  } catch {
    return { parent: 0, peakBytes: 0 };
  }
}

const megabytes = (value: number): string => String(Math.round(value / 2 ** 20));

/** The table of a run. */
export function fleetTable(results: readonly FleetResult[]): string {
  const costOf = ({ seconds, pairs }: FleetResult): number => seconds / pairs;
  const rows = results.map((result) => [
    ...[result.name, result.seconds.toFixed(1), costOf(result).toFixed(2)],
    (costOf(result) / costOf(results[0]!)).toFixed(2),
    result.medianMigrationSeconds.toFixed(1),
    ...[String(result.kills), String(result.workers)],
    `${megabytes(result.medianWorkerBytes)}, at most ${megabytes(result.largestWorkerBytes)}`,
    megabytes(result.poolBytes),
  ]);
  const header = ["fleet", "seconds", "seconds per migration", "ratio to the first", "median migration s"];
  return markdownTable([...header, "kills", "workers", "worker MB", "pool MB"], rows);
}
