import { setTimeout as sleep } from "node:timers/promises";
import type { SlotIdentity } from "../provider/dist/cdc/target/progress.js";
import { type Drainer, ours, subscription } from "./cdc-contenders";
import { mustBeEqual, newSlot, publishTables } from "./cdc-databases";
import { type Load, loads } from "./cdc-loads";
import { type Bench, withServers } from "./cores/bench-servers";
import type { Usage } from "./cores/process-watch";
import { withDelay } from "./delaying-proxy";
import { ownWork } from "./limit/changes-limit";
import type { BenchOptions } from "./options";
import { compareResults, type Contended, coresTitle, roundLine, type SetResult, summarizeRounds } from "./results";

/** The backlog of one load on the source, with a slot for each drain, and a template of the target's database. */
class Backlog {
  readonly load: Load;
  readonly database: string;
  readonly slots: SlotIdentity[] = [];
  publications: readonly string[] = [];
  readonly bench: Bench;

  constructor(load: Load, bench: Bench) {
    this.bench = bench;
    this.load = load;
    this.database = `bench_${load.name.replace(/\W+/g, "_")}`;
  }

  /** Creates the tables and rows on both servers, then a slot for each of `drains`, then the changes. */
  async make(drains: number): Promise<void> {
    const { scale } = this.bench.options;
    for (const [server, database] of [
      [this.bench.source, this.database],
      [this.bench.target, this.#template],
    ] as const) {
      await server.query(`CREATE DATABASE ${database}`);
      await server.query(this.load.tables(scale), { database });
      await server.query("CREATE TABLE the_end (id int PRIMARY KEY)", { database });
      await server.query("VACUUM ANALYZE", { database });
    }
    this.publications = await publishTables(this.bench, this.database);
    for (let drain = 0; drain < drains; drain++) this.slots.push(await newSlot(this.bench, this.database));
    const onSource = { database: this.database };
    await Promise.all(this.load.calls(scale).map((call) => this.bench.source.query(call, onSource)));
    await this.bench.source.query("INSERT INTO the_end VALUES (1)", onSource);
  }

  async drain(round: number, contender: Drainer): Promise<Usage> {
    const { database, load } = this;
    const { measurement, options, source, target } = this.bench;
    await target.query(`CREATE DATABASE ${database} TEMPLATE ${this.#template} STRATEGY FILE_COPY`);
    // A checkpoint that is due would slow down the next contender.
    await Promise.all([source, target].map((server) => server.query("CHECKPOINT")));
    const session = await target.connect(database);
    const arrived = async (): Promise<void> => {
      while ((await session.query("SELECT FROM the_end")).rowCount === 0) await sleep(10);
    };
    try {
      const drain = { source, target, database, slot: this.slots.pop()!, publications: this.publications, arrived };
      const usage = await withDelay([source.login, target.login], load.delayMs ?? 0, (delayedSource, delayedTarget) =>
        measurement.watch({ source, target }, (watch) =>
          contender.drain({ ...drain, watch, delayedSource, delayedTarget }),
        ),
      );
      await mustBeEqual(this.bench, database);
      options.say(roundLine(load.name, round, contender.name, usage));
      return usage;
    } finally {
      await session.end();
      await target.query(`DROP DATABASE ${database}`);
    }
  }

  async remove(): Promise<void> {
    await this.bench.source.query(`DROP DATABASE ${this.database}`);
    await this.bench.target.query(`DROP DATABASE ${this.#template}`);
  }

  get #template(): string {
    return `${this.database}_before`;
  }
}

async function compare(backlog: Backlog): Promise<SetResult> {
  const { options } = backlog.bench;
  const peers = options.peers?.includes("native") === false ? [] : [subscription];
  const contenders = [ours, ...peers, ownWork];
  await backlog.make(options.rounds * contenders.length);
  const rounds = new Map<Drainer, Usage[]>(contenders.map((contender) => [contender, []]));
  // Alternating, so that other load on the machine affects all contenders.
  for (let round = 1; round <= options.rounds; round++)
    for (const contender of contenders) rounds.get(contender)!.push(await backlog.drain(round, contender));
  await backlog.remove();
  const contended = (contender: Drainer): Contended =>
    summarizeRounds(contender.name, rounds.get(contender)!, contender.version);
  return compareResults({
    name: backlog.load.name,
    cores: coresTitle(options),
    ours: contended(ours),
    variants: [],
    peers: peers.map(contended),
    limit: contended(ownWork),
  });
}

/** Drains the backlog of each load with a follower and with a subscription. @throws if one fails, or the content differs */
export function benchCdc(options: BenchOptions): Promise<SetResult[]> {
  const parameters = {
    ...{ wal_level: "logical", max_wal_size: "16GB", checkpoint_timeout: "1h", shared_buffers: "512MB" },
    ...{ max_replication_slots: 10 + options.rounds * 3, max_wal_senders: 20, autovacuum: "off" },
  };
  return withServers(options, parameters, async (bench) => {
    const results: SetResult[] = [];
    for (const load of loads.filter(({ name }) => options.sets?.includes(name) ?? true))
      results.push(await compare(new Backlog(load, bench)));
    return results;
  });
}
