import assert from "node:assert/strict";
import { parseOptions } from "../../bench/options";

const names = { sets: { offline: ["tables", "toast"], sustained: ["pgbench"] }, peers: ["pg_dump", "native"] };
const parse = (...args: string[]): ReturnType<typeof parseOptions> => parseOptions(args, names);

describe("options of the benchmark", () => {
  it("has defaults", () => {
    assert.deepEqual(parse(), {
      ...{ bench: "offline", cores: "shared", scale: 1, rounds: 3, jobs: 2, quotaCores: 0.25, seconds: 60 },
      ...{ sets: undefined, peers: undefined, json: false },
    });
  });

  it("reads every option", () => {
    const given = ["sustained", "--cores", "each", "--quota", "0.5", "--seconds", "5", "--scale", "0.1", "--json"];
    assert.deepEqual(parse(...given, "--rounds", "1", "--jobs", "4", "--set", "pgbench", "--peer", "none"), {
      ...{ bench: "sustained", cores: "each", scale: 0.1, rounds: 1, jobs: 4, quotaCores: 0.5, seconds: 5 },
      ...{ sets: ["pgbench"], peers: ["none"], json: true },
    });
  });

  const errors: readonly (readonly [readonly string[], string | RegExp])[] = [
    [["fast"], "unknown benchmark fast: expected offline, sustained"],
    [["offline", "sustained"], "unexpected argument sustained: expected one benchmark"],
    [["--cores", "all"], "unknown --cores all: expected shared, each"],
    [["--quota", "0.5"], "--quota requires --cores each"],
    [["--cores", "each", "--quota", "0"], /^invalid --quota 0: expected 0\.1 to \d+ cores$/],
    [["--cores", "each", "--quota", "x"], /^invalid --quota x: expected 0\.1 to \d+ cores$/],
    [["--cores", "each", "--quota", "10000"], /^invalid --quota 10000: expected 0\.1 to \d+ cores$/],
    [["--seconds", "5"], "--seconds is only for sustained"],
    [["sustained", "--seconds=-1"], "invalid --seconds -1: expected a number above 0"],
    [["--scale", "big"], "invalid --scale big: expected a number above 0"],
    [["--rounds", "1.5"], "invalid --rounds 1.5: expected a whole number"],
    [["--jobs", "0"], "invalid --jobs 0: expected a number above 0"],
    [["--set", "pgbench"], "unknown --set pgbench: expected tables, toast"],
    [["--peer", "rsync"], "unknown --peer rsync: expected pg_dump, native, none"],
    [["--peer", "none", "--peer", "native"], "--peer none excludes other peers"],
    [["--fast"], /^Unknown option '--fast'/],
  ];
  for (const [args, message] of errors)
    it(`refuses ${args.join(" ")}`, () => {
      assert.throws(() => parse(...args), { message });
    });
});
