import type { Usage } from "./cores/process-watch";
import type { Units } from "./data-sets";
import { median } from "./median";
import type { BenchOptions } from "./options";

/** The median of a contender's rounds. */
export interface Contended {
  readonly name: string;
  readonly version?: string | undefined;
  readonly medianSeconds: number;
  readonly cpuSeconds: Usage["cpuSeconds"];
  readonly workerRssBytes: number;
  readonly limiting: Usage["limiting"];
}

/** The output of `npm run bench -- --json` for one set. */
export interface SetResult {
  readonly name: string;
  /** The situation: `shared`, or the quota of each process. */
  readonly cores: string;
  readonly ours: Contended;
  readonly peers: readonly Contended[];
  /** Our other ways to migrate: with verification, or near the servers. */
  readonly variants: readonly Contended[];
  /** The servers' own work alone. */
  readonly limit?: Contended | undefined;
  /** The size of the database, if the set states a cost per unit. */
  readonly units?: Units | undefined;
  readonly ratioToBestPeer?: number | undefined;
  readonly ratioToLimit?: number | undefined;
}

/** The situation in a table. */
export const coresTitle = ({ cores, quotaCores }: Pick<BenchOptions, "cores" | "quotaCores">): string =>
  cores === "shared" ? cores : `${quotaCores} each`;

/** Medians of rounds. The limiting process is that of the round in the middle. */
export function summarizeRounds(name: string, rounds: readonly Usage[], version?: string): Contended {
  const medianOf = (value: (usage: Usage) => number): number => median(rounds.map(value));
  const middle = [...rounds].sort((one, other) => one.seconds - other.seconds)[Math.floor(rounds.length / 2)]!;
  return {
    name,
    version,
    medianSeconds: medianOf(({ seconds }) => seconds),
    cpuSeconds: {
      source: medianOf(({ cpuSeconds }) => cpuSeconds.source),
      worker: medianOf(({ cpuSeconds }) => cpuSeconds.worker),
      target: medianOf(({ cpuSeconds }) => cpuSeconds.target),
    },
    workerRssBytes: Math.max(...rounds.map(({ workerRssBytes }) => workerRssBytes)),
    limiting: middle.limiting,
  };
}

/** Adds the ratios. */
export function compareResults(result: Omit<SetResult, "ratioToBestPeer" | "ratioToLimit">): SetResult {
  const { ours, limit } = result;
  const best = bestPeer(result);
  return {
    ...result,
    ratioToBestPeer: best && ours.medianSeconds / best.medianSeconds,
    ratioToLimit: limit && ours.medianSeconds / limit.medianSeconds,
  };
}

const bestPeer = ({ peers }: Pick<SetResult, "peers">): Contended | undefined =>
  [...peers].sort((one, other) => one.medianSeconds - other.medianSeconds)[0];

const none = "";
const fixed = (value: number | undefined): string => value?.toFixed(2) ?? none;
const titleOf = ({ name, version }: Contended): string => (version === undefined ? name : `${name} ${version}`);

/** The limiting process, and how much of its quota it used. */
export const limitedBy = ({ limiting }: Pick<Usage, "limiting">): string =>
  `${limiting.name} (${Math.round(limiting.busy * 100)} %)`;

/** The table of docs/speed.md: one row for each set. */
export function summaryTable(results: readonly SetResult[]): string {
  const rows = results.map((result) => {
    const best = bestPeer(result);
    return [
      result.name,
      result.cores,
      fixed(result.ours.medianSeconds),
      best ? `${titleOf(best)}: ${fixed(best.medianSeconds)}` : none,
      fixed(result.ratioToBestPeer),
      fixed(result.limit?.medianSeconds),
      fixed(result.ratioToLimit),
    ];
  });
  return markdownTable(["set", "cores", "this", "best peer", "ratio", "limit", "ratio to the limit"], rows);
}

/** Each contender of each set: where the CPU time went, and what limited it. */
export function contenderTable(results: readonly SetResult[]): string {
  const rows = results.flatMap(({ name, ours, variants, peers, limit }) =>
    [ours, ...variants, ...peers, ...(limit ? [limit] : [])].map((contended) => [
      name,
      titleOf(contended),
      fixed(contended.medianSeconds),
      ...(["source", "worker", "target"] as const).map((role) => fixed(contended.cpuSeconds[role])),
      String(Math.round(contended.workerRssBytes / 2 ** 20)),
      limitedBy(contended),
    ]),
  );
  const cpu = ["source CPU s", "worker CPU s", "target CPU s"];
  return markdownTable(["set", "contender", "seconds", ...cpu, "worker MB", "limited by"], rows);
}

/** The cost per unit of sets that differ only in their size. The last column compares it with the first set of the unit. */
export function unitTable(results: readonly SetResult[]): string {
  const costOf = ({ ours, units }: SetResult): number => ours.medianSeconds / units!.count;
  const measured = results.filter(({ units }) => units !== undefined);
  const rows = measured.map((result) => {
    const { name, cores, ours, units } = result;
    const first = measured.find((other) => other.units!.unit === units!.unit)!;
    const cost = costOf(result);
    return [
      ...[name, cores, fixed(ours.medianSeconds), String(Math.round(units!.count * 100) / 100)],
      cost < 1 ? `${(cost * 1000).toFixed(2)} ms` : `${fixed(cost)} s`,
      fixed(cost / costOf(first)),
    ];
  });
  return markdownTable(["set", "cores", "this", "units", "cost per unit", "ratio to the first"], rows);
}

/** A table in the form that Prettier gives it. */
export function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) => Math.max(3, title.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  return [line(header), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

/** One line of progress. */
export const roundLine = (set: string, round: number, contender: string, usage: Usage): string =>
  `${set}, round ${round}: ${contender} ${usage.seconds.toFixed(2)} s; CPU source ${fixed(usage.cpuSeconds.source)} s, ` +
  `worker ${fixed(usage.cpuSeconds.worker)} s, target ${fixed(usage.cpuSeconds.target)} s; ` +
  `limited by ${limitedBy(usage)}`;
