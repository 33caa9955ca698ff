import { parseArgs } from "node:util";
import { EmbeddedServer } from "../test/support/embedded-server";
import { type Contender, type Course, dumpAndRestore, ours, pgcopydb, subscription } from "./contenders";
import { type DataSet, dataSets } from "./data-sets";
import type { Usage } from "./process-usage";

const { values: options } = parseArgs({
  options: {
    scale: { type: "string", default: "1" },
    rounds: { type: "string", default: "3" },
    jobs: { type: "string", default: "2" },
    set: { type: "string", multiple: true },
    json: { type: "boolean", default: false },
  },
});

interface Timed {
  readonly seconds: number[];
  readonly usages: Usage[];
}

const say = (line: string): void => {
  if (!options.json) process.stdout.write(`${line}\n`);
};

/** The contenders side by side, alternating, so that what else the machine does meets them all. */
async function compare(set: DataSet, course: Course, contenders: readonly Contender[]): Promise<Map<string, Timed>> {
  const results = new Map(contenders.map(({ name }): [string, Timed] => [name, { seconds: [], usages: [] }]));
  for (let round = 1; round <= Number(options.rounds); round++)
    for (const { name, migrate } of contenders) {
      // A checkpoint that the one before has left due would count against the next.
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

async function report(
  set: DataSet,
  results: ReadonlyMap<string, Timed>,
  us: Contender,
  verified: Contender,
  peers: readonly Contender[],
): Promise<object> {
  const mine = results.get(us.name)!;
  const medianSeconds = median(mine.seconds);
  const theirs = await Promise.all(
    peers.map(async ({ name, version }) => ({
      name,
      version: await version(),
      medianSeconds: median(results.get(name)!.seconds),
    })),
  );
  const best = Math.min(...theirs.map((peer) => peer.medianSeconds));
  const cpuSeconds = median(mine.usages.map((usage) => usage.cpuSeconds));
  const maxRssBytes = Math.max(...mine.usages.map((usage) => usage.maxRssBytes));
  const ratioToBestPeer = medianSeconds / best;
  const withVerification = median(results.get(verified.name)!.seconds);
  say(
    `${set.name}: ours ${medianSeconds.toFixed(2)} s (CPU ${cpuSeconds.toFixed(2)} s, ${Math.round(maxRssBytes / 2 ** 20)} MB), with verification ${withVerification.toFixed(2)} s; ${theirs.map((peer) => `${peer.name} ${peer.medianSeconds.toFixed(2)} s`).join("; ")}; ratio to the best ${ratioToBestPeer.toFixed(2)}`,
  );
  return { name: set.name, ours: { medianSeconds, cpuSeconds, maxRssBytes }, peers: theirs, ratioToBestPeer };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

async function main(): Promise<void> {
  const parameters = { wal_level: "logical", max_wal_size: "8GB", max_replication_slots: 20, max_wal_senders: 20 };
  const source = await EmbeddedServer.start({ major: 14, parameters });
  const target = await EmbeddedServer.start({ major: 17, parameters });
  try {
    const [us, verified] = [ours("none"), ours("content")];
    const installed = await Promise.all(
      [dumpAndRestore, subscription, pgcopydb].map(async (peer) =>
        (await peer.version()) === undefined ? [] : [peer],
      ),
    );
    const peers = installed.flat();
    const sets: object[] = [];
    for (const set of dataSets.filter(({ name }) => options.set?.includes(name) ?? true)) {
      const database = `bench_${set.name}`;
      await source.query(`CREATE DATABASE ${database}`);
      await source.query(set.sql(Number(options.scale)), { database });
      await source.query("VACUUM ANALYZE", { database });
      const course = { source, target, database, jobs: Number(options.jobs) };
      sets.push(await report(set, await compare(set, course, [us, ...peers, verified]), us, verified, peers));
    }
    if (options.json) process.stdout.write(`${JSON.stringify({ sets })}\n`);
  } finally {
    await Promise.all([source.stop(), target.stop()]);
  }
}

void main();
