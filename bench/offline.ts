import { EmbeddedServer } from "../test/support/servers/embedded-server";
import {
  type Contender,
  type Course,
  dumpAndRestore,
  ours,
  pgcopydb,
  sourceMajor,
  subscription,
  targetMajor,
} from "./contenders";
import { type DataSet, dataSets } from "./data-sets";
import { median } from "./median";
import type { Usage } from "./process-usage";

export interface OfflineOptions {
  /** The goals are stated for scale 1: about 1.2 GB. */
  readonly scale: number;
  readonly rounds: number;
  /** How many tables, and how many indexes, each contender processes at the same time. */
  readonly jobs: number;
  /** Names of {@link dataSets}; by default all. */
  readonly sets?: readonly string[] | undefined;
  /** Receives each line of progress. */
  readonly say: (line: string) => void;
}

interface Peer {
  readonly name: string;
  readonly version: string | undefined;
  readonly medianSeconds: number;
}

/** The output of `npm run bench -- --json` for one set. */
export interface SetResult {
  readonly name: string;
  readonly ours: { readonly medianSeconds: number; readonly cpuSeconds: number; readonly maxRssBytes: number };
  readonly peers: readonly Peer[];
  readonly ratioToBestPeer: number;
}

interface Timed {
  readonly seconds: number[];
  readonly usages: Usage[];
}

/** Runs the contenders alternately, so that other load on the machine affects all of them. */
async function compare(
  set: DataSet,
  course: Course,
  contenders: readonly Contender[],
  { rounds, say }: OfflineOptions,
): Promise<Map<string, Timed>> {
  const results = new Map(contenders.map(({ name }): [string, Timed] => [name, { seconds: [], usages: [] }]));
  for (let round = 1; round <= rounds; round++)
    for (const { name, migrate } of contenders) {
      // A checkpoint that is due would slow down the next contender.
      await course.target.query("CHECKPOINT");
      const startedAt = performance.now();
      const usage = await migrate(course);
      const seconds = (performance.now() - startedAt) / 1000;
      results.get(name)!.seconds.push(seconds);
      if (usage) results.get(name)!.usages.push(usage);
      await course.target.query(`DROP DATABASE ${course.database}`);
      say(`${set.name}, round ${round}: ${name} ${seconds.toFixed(2)} s`);
    }
  return results;
}

async function summarize(
  set: DataSet,
  results: ReadonlyMap<string, Timed>,
  us: Contender,
  peers: readonly Contender[],
): Promise<SetResult> {
  const mine = results.get(us.name)!;
  const medianSeconds = median(mine.seconds);
  const theirs = await Promise.all(
    peers.map(async ({ name, version }) => ({
      name,
      version: await version(),
      medianSeconds: median(results.get(name)!.seconds),
    })),
  );
  return {
    name: set.name,
    ours: {
      medianSeconds,
      cpuSeconds: median(mine.usages.map((usage) => usage.cpuSeconds)),
      maxRssBytes: Math.max(...mine.usages.map((usage) => usage.maxRssBytes)),
    },
    peers: theirs,
    ratioToBestPeer: medianSeconds / Math.min(...theirs.map((peer) => peer.medianSeconds)),
  };
}

function summaryLine({ name, ours, peers, ratioToBestPeer }: SetResult, verifiedSeconds: number): string {
  const used = `CPU ${ours.cpuSeconds.toFixed(2)} s, ${Math.round(ours.maxRssBytes / 2 ** 20)} MB`;
  const theirs = peers
    .map((peer) => `${peer.name} ${peer.version ?? ""} ${peer.medianSeconds.toFixed(2)} s`)
    .join("; ");
  return `${name}: ours ${ours.medianSeconds.toFixed(2)} s (${used}), with verification ${verifiedSeconds.toFixed(2)} s; ${theirs}; ratio to the best ${ratioToBestPeer.toFixed(2)}`;
}

/** Migrates each data set with every installed contender. @throws if one of them fails */
export async function benchOffline(options: OfflineOptions): Promise<SetResult[]> {
  const parameters = { wal_level: "logical", max_wal_size: "8GB", max_replication_slots: 20, max_wal_senders: 20 };
  const source = await EmbeddedServer.start({ major: sourceMajor, parameters });
  const target = await EmbeddedServer.start({ major: targetMajor, parameters });
  try {
    const [us, verified] = [ours("none"), ours("content")];
    const installed = await Promise.all(
      [dumpAndRestore, subscription, pgcopydb].map(async (peer) =>
        (await peer.version()) === undefined ? [] : [peer],
      ),
    );
    const peers = installed.flat();
    const results: SetResult[] = [];
    for (const set of dataSets.filter(({ name }) => options.sets?.includes(name) ?? true)) {
      const database = `bench_${set.name}`;
      await source.query(`CREATE DATABASE ${database}`);
      await source.query(set.sql(options.scale), { database });
      await source.query("VACUUM ANALYZE", { database });
      const course = { source, target, database, jobs: options.jobs };
      const timed = await compare(set, course, [us, ...peers, verified], options);
      const result = await summarize(set, timed, us, peers);
      options.say(summaryLine(result, median(timed.get(verified.name)!.seconds)));
      results.push(result);
    }
    return results;
  } finally {
    await Promise.all([source.stop(), target.stop()]);
  }
}
