import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { minQuotaCores } from "./cores/cgroups";
import type { Cores } from "./cores/measurement";

/** How `npm run bench` measures. */
export interface BenchOptions {
  /** The goals are stated for scale 1: about 1.2 GB in the first set. */
  readonly scale: number;
  readonly rounds: number;
  /** How many tables, and how many indexes, each contender processes at the same time. */
  readonly jobs: number;
  readonly cores: Cores;
  /** The CPU time per second of each process, in cores. Only for `each`. */
  readonly quotaCores: number;
  /** How long the sessions of `sustained` write. */
  readonly seconds: number;
  /** Names of sets; by default all. */
  readonly sets?: readonly string[] | undefined;
  /** Names of peers; by default all that are installed. */
  readonly peers?: readonly string[] | undefined;
  /** Receives each line of progress. */
  readonly say: (line: string) => void;
}

/** A benchmark as the arguments name it. */
export interface Command extends Omit<BenchOptions, "say"> {
  readonly bench: string;
  readonly json: boolean;
}

/** The names that the arguments may contain. */
export interface Names {
  /** The names of the sets of each benchmark. */
  readonly sets: Readonly<Record<string, readonly string[]>>;
  readonly peers: readonly string[];
}

/**
 * The arguments of `npm run bench`.
 *
 * @throws Error with a message for the user
 */
export function parseOptions(args: readonly string[], names: Names): Command {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      scale: { type: "string", default: "1" },
      rounds: { type: "string", default: "3" },
      jobs: { type: "string", default: "2" },
      cores: { type: "string", default: "shared" },
      quota: { type: "string" },
      seconds: { type: "string" },
      set: { type: "string", multiple: true },
      peer: { type: "string", multiple: true },
      json: { type: "boolean", default: false },
    },
  });
  if (positionals.length > 1) throw new Error(`unexpected argument ${positionals[1]!}: expected one benchmark`);
  const bench = oneOf("benchmark", positionals[0] ?? "offline", Object.keys(names.sets));
  const cores = oneOf("--cores", values.cores, ["shared", "each"]) as Cores;
  if (values.quota !== undefined && cores !== "each") throw new Error("--quota requires --cores each");
  if (values.seconds !== undefined && bench !== "sustained") throw new Error("--seconds is only for sustained");
  if (values.peer?.includes("none") && values.peer.length > 1) throw new Error("--peer none excludes other peers");
  for (const set of values.set ?? []) oneOf("--set", set, names.sets[bench]!);
  for (const peer of values.peer ?? []) oneOf("--peer", peer, [...names.peers, "none"]);
  return {
    bench,
    cores,
    scale: positive("--scale", values.scale),
    rounds: whole("--rounds", values.rounds),
    jobs: whole("--jobs", values.jobs),
    quotaCores: quota(values.quota ?? "0.25"),
    seconds: positive("--seconds", values.seconds ?? "60"),
    sets: values.set,
    peers: values.peer,
    json: values.json,
  };
}

function oneOf(option: string, text: string, expected: readonly string[]): string {
  if (!expected.includes(text)) throw new Error(`unknown ${option} ${text}: expected ${expected.join(", ")}`);
  return text;
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value)) throw new Error(`invalid ${option} ${text}: expected a number above 0`);
  return value;
}

function whole(option: string, text: string): number {
  const value = positive(option, text);
  if (!Number.isInteger(value)) throw new Error(`invalid ${option} ${text}: expected a whole number`);
  return value;
}

function quota(text: string): number {
  const [value, most] = [Number(text), availableParallelism()];
  if (!(value >= minQuotaCores && value <= most))
    throw new Error(`invalid --quota ${text}: expected ${minQuotaCores} to ${most} cores`);
  return value;
}
