const { readdirSync } = require("node:fs");
const { sep } = require("node:path");
const base = require("../.mocharc.cjs");

/**
 * Mocha's options for a suite: the test files that it includes, in parallel. The longest files run first, so that none of
 * them runs alone at the end.
 */
module.exports = function suite(includes, longestFirst) {
  const files = readdirSync(__dirname, { recursive: true })
    .map((file) => file.split(sep).join("/"))
    .filter((file) => file.endsWith(".test.ts") && includes(file))
    .sort();
  const first = longestFirst.filter((file) => files.includes(file));
  const rest = files.filter((file) => !longestFirst.includes(file));
  // Twice the processors of the usual CI machine, because most tests wait.
  return { ...base, parallel: true, jobs: 4, spec: [...first, ...rest].map((file) => `test/${file}`), longestFirst };
};
