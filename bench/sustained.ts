import { type Drainer, ours, subscription } from "./cdc-contenders";
import { mustBeEqual, newSlot, publishTables } from "./cdc-databases";
import { sustainedTables } from "./cdc-loads";
import { type Bench, withServers } from "./cores/bench-servers";
import { Heartbeat } from "./heartbeat";
import { median } from "./median";
import type { BenchOptions } from "./options";
import { coresTitle, type Contended, limitedBy, markdownTable, summarizeRounds } from "./results";

/** The set has one load: pgbench's. */
export const sustainedSets = [{ name: "pgbench" }] as const;

const writers = 8;
const before = "bench_sustained_before";
const database = "bench_sustained";

/** How far the target is behind while sessions write, and how long it needs afterwards. */
interface Lag {
  readonly transactionsPerSecond: number;
  readonly largestLagSeconds: number;
  readonly largestLagBytes: number;
  readonly catchUpSeconds: number;
}

/** The output of `npm run bench -- sustained --json` for one contender. */
export interface SustainedResult extends Contended, Lag {
  readonly cores: string;
  /** The writers' transactions per second, divided by those without replication. */
  readonly writersRatio: number;
}

/** The writers alone. */
const noReplication: Drainer = {
  name: "no replication",
  async drain({ watch, arrived }) {
    watch.start();
    await arrived();
    return watch.end();
  },
};

/** Eight sessions write at full speed, while each contender in turn replicates. @throws if the content differs afterwards */
export function benchSustained(options: BenchOptions): Promise<SustainedResult[]> {
  const parameters = {
    ...{ wal_level: "logical", max_wal_size: "16GB", checkpoint_timeout: "1h", shared_buffers: "512MB" },
    ...{ max_replication_slots: 20, max_wal_senders: 20, autovacuum: "off" },
  };
  return withServers(options, parameters, async (bench) => {
    for (const server of [bench.source, bench.target]) {
      await server.query(`CREATE DATABASE ${before}`);
      await server.query(sustainedTables(options.scale), { database: before });
      await server.query("VACUUM ANALYZE", { database: before });
    }
    const contenders = [noReplication, ours, ...(options.peers?.includes("native") === false ? [] : [subscription])];
    const rounds = new Map<Drainer, Round[]>(contenders.map((contender) => [contender, []]));
    for (let round = 1; round <= options.rounds; round++)
      for (const contender of contenders) {
        const result = await follow(bench, contender);
        rounds.get(contender)!.push(result);
        options.say(`round ${round}: ${contender.name}: ${sentence(result.lag)}`);
      }
    return summarize(rounds, options);
  });
}

interface Round {
  readonly usage: Awaited<ReturnType<Drainer["drain"]>>;
  readonly lag: Lag;
}

async function follow(bench: Bench, contender: Drainer): Promise<Round> {
  const { source, target, measurement, options } = bench;
  await source.query(`CREATE DATABASE ${database} TEMPLATE ${before}`);
  await target.query(`CREATE DATABASE ${database} TEMPLATE ${before} STRATEGY FILE_COPY`);
  await Promise.all([source, target].map((server) => server.query("CHECKPOINT")));
  const replicates = contender !== noReplication;
  try {
    const publications = replicates ? await publishTables(bench, database) : [];
    const slot = replicates ? await newSlot(bench, database) : undefined;
    let lag: Lag | undefined;
    const usage = await measurement.watch(bench, (watch) =>
      contender.drain({
        ...{ watch, source, target, delayedSource: source.login, delayedTarget: target.login },
        ...{ database, publications, slot: slot! },
        arrived: async () => {
          lag = await writeAndObserve(bench, replicates, options);
        },
      }),
    );
    if (replicates) await mustBeEqual(bench, database);
    return { usage, lag: lag! };
  } finally {
    await Promise.all([source, target].map((server) => server.query(`DROP DATABASE ${database} WITH (FORCE)`)));
  }
}

async function writeAndObserve(
  { source, target }: Bench,
  replicates: boolean,
  { seconds, say }: BenchOptions,
): Promise<Lag> {
  const heartbeat = new Heartbeat(await source.connect(database), await target.connect(database));
  try {
    if (replicates) await heartbeat.untilArrived(say);
    const observed = replicates ? heartbeat.observe() : undefined;
    const startedAt = performance.now();
    const transactions = await Promise.all(
      Array.from({ length: writers }, async (_, session) => {
        const rows = await source.query<{ transactions: string }>(`CALL write(${session + 1}, ${seconds}, 0)`, {
          database,
        });
        return Number(rows[0]!.transactions);
      }),
    );
    const endedAt = performance.now();
    await observed?.stop();
    if (replicates) await heartbeat.untilArrived(say);
    return {
      transactionsPerSecond: transactions.reduce((sum, count) => sum + count, 0) / ((endedAt - startedAt) / 1000),
      largestLagSeconds: heartbeat.largestLagSeconds,
      largestLagBytes: heartbeat.largestLagBytes,
      catchUpSeconds: replicates ? (performance.now() - endedAt) / 1000 : 0,
    };
  } finally {
    await heartbeat.end();
  }
}

function summarize(rounds: ReadonlyMap<Drainer, readonly Round[]>, options: BenchOptions): SustainedResult[] {
  const medianOf = (contender: Drainer, value: (lag: Lag) => number): number =>
    median(rounds.get(contender)!.map(({ lag }) => value(lag)));
  const alone = medianOf(noReplication, ({ transactionsPerSecond }) => transactionsPerSecond);
  return [...rounds].map(([contender, measured]) => {
    const transactionsPerSecond = medianOf(contender, (lag) => lag.transactionsPerSecond);
    return {
      ...summarizeRounds(
        contender.name,
        measured.map(({ usage }) => usage),
        contender.version,
      ),
      cores: coresTitle(options),
      transactionsPerSecond,
      writersRatio: transactionsPerSecond / alone,
      largestLagSeconds: medianOf(contender, (lag) => lag.largestLagSeconds),
      largestLagBytes: medianOf(contender, (lag) => lag.largestLagBytes),
      catchUpSeconds: medianOf(contender, (lag) => lag.catchUpSeconds),
    };
  });
}

const sentence = (lag: Lag): string =>
  `${Math.round(lag.transactionsPerSecond)} transactions/s, largest lag ${lag.largestLagSeconds.toFixed(2)} s and ` +
  `${(lag.largestLagBytes / 2 ** 20).toFixed(1)} MB, caught up after ${lag.catchUpSeconds.toFixed(2)} s`;

/** The table of a run. */
export function sustainedTable(results: readonly SustainedResult[]): string {
  const rows = results.map((result) => [
    ...[result.name, result.cores, String(Math.round(result.transactionsPerSecond)), result.writersRatio.toFixed(2)],
    ...[result.largestLagSeconds.toFixed(2), (result.largestLagBytes / 2 ** 20).toFixed(1)],
    ...[result.catchUpSeconds.toFixed(2), limitedBy(result)],
  ]);
  const lag = ["largest lag s", "largest lag MB", "catch-up s"];
  return markdownTable(["contender", "cores", "transactions/s", "ratio to none", ...lag, "limited by"], rows);
}
