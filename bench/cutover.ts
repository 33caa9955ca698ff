import { setTimeout as sleep } from "node:timers/promises";
import type { MigrationStatus } from "../provider/dist/status.js";
import { assertSameContent } from "../test/support/content";
import { Lab } from "../test/support/lab";
import { Resource } from "../test/support/resource";
import { Traffic } from "../test/support/traffic";
import { median } from "./median";
import { Measurement } from "./cores/measurement";
import type { ProcessWatch, Usage } from "./cores/process-watch";
import { withDelay } from "./delaying-proxy";
import type { BenchOptions } from "./options";
import { type Contended, coresTitle, limitedBy, markdownTable, summarizeRounds } from "./results";

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
  /** The situation: `shared`, or the quota of each process. */
  readonly cores: string;
  readonly contended: Contended;
}

/** Cutovers of AdventureWorks. There is no peer to compare with. @throws if one fails, or the content differs */
export async function benchCutover(options: BenchOptions): Promise<CutoverResult[]> {
  const measurement = new Measurement(options.cores, options.quotaCores);
  try {
    const results: CutoverResult[] = [];
    for (const situation of situations.filter(({ name }) => options.sets?.includes(name) ?? true)) {
      results.push(await benchSituation(situation, measurement, options));
      options.say(`${situation.name}: median ${results.at(-1)!.ours.medianSeconds.toFixed(2)} s`);
    }
    return results;
  } finally {
    measurement.close();
  }
}

async function benchSituation(
  situation: Situation,
  measurement: Measurement,
  options: BenchOptions,
): Promise<CutoverResult> {
  const lab = await Lab.start();
  try {
    const database = await lab.adventureWorks(options.scale);
    await lab.source.query(Traffic.schema, { database });
    const rounds: Round[] = [];
    for (let round = 1; round <= options.rounds; round++) {
      rounds.push(await measurement.watch(lab, (watch) => cutOver(lab, database, situation, watch)));
      options.say(`${situation.name}, round ${round}: ${sentence(rounds.at(-1)!)}`);
    }
    return summarize(situation.name, rounds, coresTitle(options));
  } finally {
    await lab.stop();
  }
}

interface Round {
  readonly usage: Usage;
  readonly timeline: MigrationStatus["cutoverTimeline"];
}

async function cutOver(
  lab: Lab,
  database: string,
  { load, delayMs = 0 }: Situation,
  watch: ProcessWatch,
): Promise<Round> {
  const resource = new Resource();
  await lab.source.query("TRUNCATE ledger", { database });
  const traffic = load && Traffic.start(lab.source, database, load.sessions, 0);
  try {
    return await withDelay([lab.source.login, lab.administrator], delayMs, async (sourceLogin, targetLogin) => {
      const source = { ...sourceLogin, sslMode: "Prefer" };
      const target = { ...targetLogin, sslMode: "Prefer" };
      try {
        await resource.create(lab.inputs([database], { migrationMode: "Online", source, target }));
        if (load) await fallBehind(lab, database, load.behindSeconds);
        watch.start();
        const { cutoverTimeline: timeline } = await resource.update({ triggerCutover: true });
        const usage = watch.end();
        await traffic?.stop();
        if (!traffic) await assertSameContent(...lab.places(database));
        return { usage, timeline };
      } finally {
        await resource.destroy();
      }
    });
  } finally {
    await traffic?.stop();
    await lab.target.query(`DROP DATABASE IF EXISTS ${database}`);
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

const sentence = ({ usage, timeline }: Round): string =>
  `${usage.seconds.toFixed(2)} s, of which the timeline has ${sumOf(timeline).toFixed(2)} s: ` +
  `${timeline.map(({ step, seconds: took }) => `${step} ${took.toFixed(2)}`).join(", ")}; limited by ${limitedBy(usage)}`;

function summarize(name: string, rounds: readonly Round[], cores: string): CutoverResult {
  const steps = rounds[0]!.timeline.map(({ step }, index) => ({
    step,
    medianSeconds: median(rounds.map(({ timeline }) => timeline[index]!.seconds)),
  }));
  const contended = summarizeRounds(
    name,
    rounds.map(({ usage }) => usage),
  );
  const timelineSeconds = median(rounds.map(({ timeline }) => sumOf(timeline)));
  return { name, cores, ours: { medianSeconds: contended.medianSeconds, timelineSeconds }, steps, contended };
}

/** The table of a run. */
export function cutoverTable(results: readonly CutoverResult[]): string {
  const rows = results.map(({ name, cores, ours, contended }) => [
    ...[name, cores, ours.medianSeconds.toFixed(2), ours.timelineSeconds.toFixed(2)],
    ...(["source", "worker", "target"] as const).map((role) => contended.cpuSeconds[role].toFixed(2)),
    limitedBy(contended),
  ]);
  const cpu = ["source CPU s", "worker CPU s", "target CPU s"];
  return markdownTable(["situation", "cores", "this", "steps", ...cpu, "limited by"], rows);
}
