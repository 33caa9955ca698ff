import { setTimeout as sleep } from "node:timers/promises";
import type { MigrationStatus } from "../provider/dist/status.js";
import { assertSameContent } from "../test/support/content";
import { Lab } from "../test/support/lab";
import { Resource } from "../test/support/resource";
import { Traffic } from "../test/support/traffic";
import { DelayingProxy } from "./delaying-proxy";
import { median } from "./median";
import type { OfflineOptions } from "./offline";

export type CutoverOptions = Omit<OfflineOptions, "jobs">;

interface Situation {
  readonly name: string;
  /** The number of sessions that write until the end of the cutover, and the lag of the target at its start. */
  readonly load?: { readonly sessions: number; readonly behindSeconds: number };
  /** The delay of requests to either server. */
  readonly delayMs?: number;
}

export const situations: readonly Situation[] = [
  { name: "idle" },
  { name: "loaded", load: { sessions: 4, behindSeconds: 1 } },
  { name: "far", delayMs: 10 },
];

/** The output of `npm run bench -- cutover --json` for one situation. */
export interface CutoverResult {
  readonly name: string;
  /** The time of `pulumi up` from `triggerCutover` to `Succeeded`, and the sum of the timeline's steps. */
  readonly ours: { readonly medianSeconds: number; readonly timelineSeconds: number };
  readonly steps: readonly { readonly step: string; readonly medianSeconds: number }[];
}

/** Cutovers of AdventureWorks. There is no peer to compare with. @throws if one fails, or the content differs */
export async function benchCutover(options: CutoverOptions): Promise<CutoverResult[]> {
  const results: CutoverResult[] = [];
  for (const situation of situations.filter(({ name }) => options.sets?.includes(name) ?? true)) {
    const lab = await Lab.start();
    try {
      const database = await lab.adventureWorks(options.scale);
      await lab.source.query(Traffic.schema, { database });
      const rounds: Round[] = [];
      for (let round = 1; round <= options.rounds; round++) {
        rounds.push(await cutOver(lab, database, situation));
        options.say(`${situation.name}, round ${round}: ${sentence(rounds.at(-1)!)}`);
      }
      results.push(summarize(situation.name, rounds));
      options.say(`${situation.name}: median ${results.at(-1)!.ours.medianSeconds.toFixed(2)} s`);
    } finally {
      await lab.stop();
    }
  }
  return results;
}

interface Round {
  readonly seconds: number;
  readonly timeline: MigrationStatus["cutoverTimeline"];
}

async function cutOver(lab: Lab, database: string, { load, delayMs = 0 }: Situation): Promise<Round> {
  const proxies = await Promise.all([lab.source, lab.target].map(({ login }) => DelayingProxy.to(login.port, delayMs)));
  const resource = new Resource();
  await lab.source.query("TRUNCATE ledger", { database });
  const traffic = load && Traffic.start(lab.source, database, load.sessions, 0);
  try {
    const [source, target] = [
      { ...lab.source.login, port: proxies[0]!.port, sslMode: "Prefer" },
      { ...lab.administrator, port: proxies[1]!.port, sslMode: "Prefer" },
    ];
    const near = { source: { ...lab.source.login }, target: { ...lab.administrator } };
    await resource.create(
      lab.inputs([database], { migrationMode: "Online", ...near, ...(delayMs > 0 ? { source, target } : {}) }),
    );
    if (load) await fallBehind(lab, database, load.behindSeconds);
    const startedAt = performance.now();
    const { cutoverTimeline: timeline } = await resource.update({ triggerCutover: true });
    const seconds = (performance.now() - startedAt) / 1000;
    await traffic?.stop();
    if (!traffic) await assertSameContent(...lab.places(database));
    return { seconds, timeline };
  } finally {
    await traffic?.stop();
    await resource.destroy();
    await lab.target.query(`DROP DATABASE IF EXISTS ${database}`);
    await Promise.all(proxies.map((proxy) => proxy.close()));
  }
}

/** Blocks the applying session, so that the changes written meanwhile form a backlog. */
async function fallBehind(lab: Lab, database: string, seconds: number): Promise<void> {
  const session = await lab.target.connect(database);
  await session.query("BEGIN; LOCK TABLE account");
  await sleep(seconds * 1000);
  await session.end();
}

const sumOf = (timeline: Round["timeline"]): number => timeline.reduce((sum, { seconds }) => sum + seconds, 0);

const sentence = ({ seconds, timeline }: Round): string =>
  `${seconds.toFixed(2)} s, of which the timeline has ${sumOf(timeline).toFixed(2)} s: ` +
  timeline.map(({ step, seconds: took }) => `${step} ${took.toFixed(2)}`).join(", ");

function summarize(name: string, rounds: readonly Round[]): CutoverResult {
  const steps = rounds[0]!.timeline.map(({ step }, index) => ({
    step,
    medianSeconds: median(rounds.map(({ timeline }) => timeline[index]!.seconds)),
  }));
  const ours = {
    medianSeconds: median(rounds.map(({ seconds }) => seconds)),
    timelineSeconds: median(rounds.map(({ timeline }) => sumOf(timeline))),
  };
  return { name, ours, steps };
}
