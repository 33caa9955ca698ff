import { constants } from "node:os";
import { benchCdc } from "./cdc";
import { loads } from "./cdc-loads";
import { peers } from "./contenders";
import { CgroupsNotWritable } from "./cores/cgroups";
import { benchCutover, cutoverTable, situations } from "./cutover";
import { dataSets, farSets, linearSets } from "./data-sets";
import { benchFleet, fleetSets, fleetTable } from "./fleet";
import { benchOffline } from "./offline";
import { type BenchOptions, parseOptions } from "./options";
import { contenderTable, type SetResult, summaryTable, unitTable } from "./results";
import { benchSustained, sustainedSets, sustainedTable } from "./sustained";

/** A benchmark, with the tables that it prints at its end. */
interface Bench {
  readonly sets: readonly { readonly name: string }[];
  readonly run: (options: BenchOptions) => Promise<{ readonly sets: readonly object[]; readonly tables: string[] }>;
}

const compared = (sets: readonly SetResult[]) => ({ sets, tables: [contenderTable(sets), summaryTable(sets)] });

const benches: Readonly<Record<string, Bench>> = {
  offline: { sets: dataSets, run: async (options) => compared(await benchOffline(dataSets, options)) },
  far: { sets: farSets, run: async (options) => compared(await benchOffline(farSets, options)) },
  linear: {
    sets: linearSets,
    run: async (options) => {
      const { sets, tables } = compared(await benchOffline(linearSets, options));
      return { sets, tables: [...tables, unitTable(sets)] };
    },
  },
  cdc: { sets: loads, run: async (options) => compared(await benchCdc(options)) },
  sustained: {
    sets: sustainedSets,
    run: async (options) => {
      const sets = await benchSustained(options);
      return { sets, tables: [sustainedTable(sets)] };
    },
  },
  cutover: {
    sets: situations,
    run: async (options) => {
      const sets = await benchCutover(options);
      return { sets, tables: [cutoverTable(sets)] };
    },
  },
  fleet: {
    sets: fleetSets,
    run: async (options) => {
      const sets = await benchFleet(options);
      return { sets, tables: [fleetTable(sets)] };
    },
  },
};

/**
 * `npm run bench` compares copies of whole databases with other tools. Its first argument selects another benchmark:
 * docs/speed.md describes them. It prints progress and tables, or with --json only the result.
 */
async function main(args: readonly string[]): Promise<void> {
  const sets = Object.fromEntries(Object.entries(benches).map(([name, bench]) => [name, bench.sets.map(nameOf)]));
  const { bench, json, ...options } = parseOptions(args, { sets, peers: peers.map(({ option }) => option) });
  const say = (line: string): void => {
    if (!json) process.stdout.write(`${line}\n`);
  };
  const result = await benches[bench]!.run({ ...options, say });
  for (const table of result.tables) say(`\n${table}`);
  if (json) process.stdout.write(`${JSON.stringify({ sets: result.sets })}\n`);
}

const nameOf = ({ name }: { readonly name: string }): string => name;

// The listeners of "exit" stop the servers and remove the control groups. A signal may arrive twice: from the terminal and
// from npm.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => process.exit(128 + constants.signals[signal]));

main(process.argv.slice(2)).catch((error: unknown) => {
  if (error instanceof CgroupsNotWritable) {
    process.stderr.write(`skipped: --cores each requires control groups: ${error.message}\n`);
    return;
  }
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
