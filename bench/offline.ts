import { type Contender, type Course, ours, peers, toolVersion } from "./contenders";
import { type Bench, withServers } from "./cores/bench-servers";
import type { Usage } from "./cores/process-watch";
import { type DataSet, unitsOf } from "./data-sets";
import { withDelay } from "./delaying-proxy";
import { CopyLimit } from "./limit/copy-limit";
import type { BenchOptions } from "./options";
import { compareResults, coresTitle, type Contended, roundLine, type SetResult, summarizeRounds } from "./results";

/** A contender in one set. */
interface Entry {
  readonly name: string;
  readonly version?: string | undefined;
  readonly run: () => Promise<void>;
}

/** Migrates each data set with every installed contender. @throws if one of them fails */
export function benchOffline(sets: readonly DataSet[], options: BenchOptions): Promise<SetResult[]> {
  const parameters = {
    ...{ wal_level: "logical", max_wal_size: "8GB", max_replication_slots: 20, max_wal_senders: 20 },
    // pg_dump locks all tables in one transaction.
    max_locks_per_transaction: 1024,
  };
  return withServers(options, parameters, async (bench) => {
    const results: SetResult[] = [];
    for (const set of sets.filter(({ name }) => options.sets?.includes(name) ?? true))
      results.push(await benchSet(set, bench));
    return results;
  });
}

async function benchSet(set: DataSet, bench: Bench): Promise<SetResult> {
  const { source, target, options } = bench;
  const database = `bench_${set.name.replace(/\W+/g, "_").toLowerCase()}`;
  await source.query(`CREATE DATABASE ${database}`);
  await source.query(set.sql(options.scale), { database });
  await source.query("VACUUM ANALYZE", { database });
  const near: Course = {
    ...{ source, target, sourceLogin: source.login, targetLogin: target.login },
    ...{ database, jobs: options.jobs },
  };
  const limit = (await toolVersion("pg_dump")) === undefined ? undefined : await CopyLimit.prepare(near);
  try {
    const us = contender(ours("none"), near, set.delayMs);
    const variant = set.delayMs === undefined ? contender(ours("content"), near) : contender(nearBy, near);
    const theirs = await installedPeers(near, set.delayMs, options.peers);
    const own = limit && { name: "the servers' own work", run: () => limit.run() };
    const rounds = await alternate(set, near, [us, ...theirs, variant, ...(own ? [own] : [])], bench);
    const contended = (entry: Entry): Contended => summarizeRounds(entry.name, rounds.get(entry)!, entry.version);
    return compareResults({
      name: set.name,
      cores: coresTitle(options),
      ours: contended(us),
      variants: [contended(variant)],
      peers: theirs.map(contended),
      limit: own && contended(own),
      units: await unitsOf(set, source, database),
    });
  } finally {
    limit?.remove();
    await source.query(`DROP DATABASE ${database}`);
  }
}

const nearBy: Contender = { ...ours("none"), name: "pulumi-pg-migration near the servers" };

const contender = ({ name, migrate }: Contender, course: Course, delayMs = 0): Entry => ({
  name,
  run: () =>
    withDelay([course.sourceLogin, course.targetLogin], delayMs, (sourceLogin, targetLogin) =>
      migrate({ ...course, sourceLogin, targetLogin }),
    ),
});

async function installedPeers(
  course: Course,
  delayMs: number | undefined,
  names: BenchOptions["peers"],
): Promise<Entry[]> {
  const wanted = peers.filter(({ option }) => names?.includes(option) ?? true);
  const entries = await Promise.all(
    wanted.map(async (peer) => ({ ...contender(peer, course, delayMs), version: await peer.version() })),
  );
  return entries.filter(({ version }) => version !== undefined);
}

/** Runs the contenders alternately, so that other load on the machine affects all of them. */
async function alternate(
  set: DataSet,
  { source, target, database }: Course,
  entries: readonly Entry[],
  { measurement, options }: Bench,
): Promise<Map<Entry, Usage[]>> {
  const rounds = new Map<Entry, Usage[]>(entries.map((entry) => [entry, []]));
  for (let round = 1; round <= options.rounds; round++)
    for (const entry of entries) {
      // A checkpoint that is due would slow down the next contender.
      await target.query("CHECKPOINT");
      const usage = await measurement.run({ source, target }, entry.run);
      await target.query(`DROP DATABASE ${database}`);
      rounds.get(entry)!.push(usage);
      options.say(roundLine(set.name, round, entry.name, usage));
    }
  return rounds;
}
