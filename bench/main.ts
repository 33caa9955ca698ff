import { parseArgs } from "node:util";
import { benchCdc } from "./cdc";
import { loads } from "./cdc-loads";
import { dataSets } from "./data-sets";
import { benchCutover, situations } from "./cutover";
import { benchOffline, type OfflineOptions } from "./offline";

/**
 * `npm run bench` compares copies of whole databases with other tools, and `npm run bench -- cdc` backlogs of changes.
 * `npm run bench -- cutover` measures the seconds of a cutover. It prints progress, or with --json only the result.
 */
async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      scale: { type: "string", default: "1" },
      rounds: { type: "string", default: "3" },
      jobs: { type: "string", default: "2" },
      set: { type: "string", multiple: true },
      json: { type: "boolean", default: false },
    },
  });
  const [what = "offline"] = positionals;
  const bench = benches[what];
  if (!bench) throw new Error(`unknown benchmark ${what}: expected ${Object.keys(benches).join(", ")}`);
  const unknown = values.set?.find((wanted) => !bench.sets.some(({ name }) => name === wanted));
  if (unknown !== undefined)
    throw new Error(`unknown --set ${unknown}: expected ${bench.sets.map(({ name }) => name).join(", ")}`);
  const sets = await bench.run({
    scale: positive("--scale", values.scale),
    rounds: positive("--rounds", values.rounds),
    jobs: positive("--jobs", values.jobs),
    sets: values.set,
    say: (line) => {
      if (!values.json) process.stdout.write(`${line}\n`);
    },
  });
  if (values.json) process.stdout.write(`${JSON.stringify({ sets })}\n`);
}

interface Bench {
  readonly sets: readonly { readonly name: string }[];
  readonly run: (options: OfflineOptions) => Promise<readonly object[]>;
}

const benches: Readonly<Record<string, Bench>> = {
  offline: { sets: dataSets, run: benchOffline },
  cdc: { sets: loads, run: benchCdc },
  cutover: { sets: situations, run: benchCutover },
};

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value)) throw new Error(`invalid ${option} ${text}: expected a number above 0`);
  return value;
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
