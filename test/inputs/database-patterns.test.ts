import assert from "node:assert/strict";
import fc from "fast-check";
import { checkInputs } from "../../provider/src/inputs/check-inputs";
import { isPattern, matchesPattern, selectDatabases } from "../../provider/src/inputs/database-patterns";

const server = (host: string) => ({ host, user: "u", password: "p" });
const inputs = { migrationName: "m", source: server("old"), target: server("new") };
const reasons = (changes: Record<string, unknown>): string[] =>
  checkInputs({ ...inputs, ...changes }).failures.map(({ property, reason }) => `${property}: ${reason}`);

/** Few characters, so that patterns often match. */
const text = fc.string({
  unit: fc.constantFrom("a", "b", "*", "!", "\\", "[", "?", "/", ".", "\n", "😀"),
  maxLength: 8,
});

/** The pattern as a regular expression, character by character. */
function reference(pattern: string): RegExp {
  const characters = Array.from(pattern.replace(/^!/, ""));
  let expression = "";
  for (let i = 0; i < characters.length; i++) {
    const next = characters[i + 1];
    const isEscape = characters[i] === "\\" && next !== undefined && "\\*!".includes(next);
    if (characters[i] === "*") expression += "[^]*";
    else expression += `\\u{${characters[isEscape ? ++i : i]!.codePointAt(0)!.toString(16)}}`;
  }
  return new RegExp(`^${expression}$`, "u");
}

const present = [
  ...["app_1", "app_2", "app_test", "shop", "a*b", "!a", "a\\b"].map((name) => ({ name, isClosed: false })),
  ...["postgres", "pgmigration", "rdsadmin", "_aiven"].map((name) => ({ name, isClosed: false })),
  ...["template1", "app_template"].map((name) => ({ name, isClosed: true })),
];
const selected = (...list: string[]): readonly string[] => selectDatabases(list, present).databases;

describe("patterns of databases", () => {
  it("match the same names as a regular expression", () => {
    fc.assert(
      fc.property(text, text, (pattern, name) => {
        assert.equal(matchesPattern(pattern, name), reference(pattern).test(name));
      }),
      { numRuns: 3000 },
    );
  });

  it("match only one name if it is escaped, or has no special character", () => {
    fc.assert(
      fc.property(text, text, (name, other) => {
        const escaped = name.replace(/[\\*!]/g, "\\$&");
        assert.equal(matchesPattern(escaped, other), other === name);
        assert.equal(isPattern(escaped), escaped !== name);
      }),
    );
  });

  it("select each database once, in the order of the list, without exclusions", () => {
    assert.deepEqual(selected("shop", "app_*", "*_1"), ["shop", "app_1", "app_2", "app_test"]);
    assert.deepEqual(selected("!app_t*", "app_*"), ["app_1", "app_2"]);
    assert.deepEqual(selected("app_*", "!app_*", "app_1"), ["app_1"], "a name is selected whatever is excluded");
    assert.deepEqual(selected("a\\*b", "\\!a", "a\\\\b", "a\\b"), ["a*b", "!a", "a\\b"]);
  });

  it("select no templates, closed or service databases, nor postgres and the records", () => {
    assert.deepEqual(selected("*"), ["!a", "a*b", "a\\b", "app_1", "app_2", "app_test", "shop"]);
    assert.deepEqual(selected("*", "!a*", "postgres").slice(-2), ["shop", "postgres"]);
  });

  it("are reported if they match nothing", () => {
    const { unmatched, unused } = selectDatabases(["app_*", "x*", "missing", "!y", "!postgres"], present);
    assert.deepEqual([unmatched, unused], [["x*"], ["!y"]]);
  });

  it("are checked without a server: an empty list, only exclusions, duplicates, contradictions, names", () => {
    assert.match(reasons({ dbsToMigrate: [] }).join(), /^dbsToMigrate: give at least one database/);
    assert.deepEqual(reasons({ dbsToMigrate: ["!a", "!b*"] }), [
      'dbsToMigrate: !a, !b* only excludes: add a name or a pattern, such as "*"',
    ]);
    assert.deepEqual(reasons({ dbsToMigrate: ["a*", "a*"] }), ["dbsToMigrate: the list contains a database twice"]);
    assert.match(reasons({ dbsToMigrate: ["*", "a", "!a"] }).join(), /^dbsToMigrate: !a excludes a database that the/);
    assert.match(reasons({ dbsToMigrate: ["*", "!"] }).join(), /^dbsToMigrate: ! excludes nothing: give a name/);
    assert.deepEqual(reasons({ dbsToMigrate: ["rdsadmin", ""] }), [
      "dbsToMigrate[0]: this database belongs to the server and is not migrated",
      "dbsToMigrate[1]: a database has a name",
    ]);
    assert.deepEqual(reasons({ dbsToMigrate: ["[", "a?", "[ab]*"] }), [], "[ and ? are ordinary characters");
    assert.match(reasons({ dbsToMigrate: "*" }).join(), /^dbsToMigrate: give a list/);
  });

  it("leave rules about databases to the resolved list, whose names are taken literally", () => {
    const partly = { triggerCutover: true, migrationMode: "Online", dbsToTriggerCutoverOn: ["a1"] };
    const open = { ...partly, dbsToMigrate: ["a*"], databaseNames: { a1: "b" } };
    assert.deepEqual(reasons(open), []);
    assert.equal(checkInputs({ ...inputs, ...open }).inputs, undefined);
    assert.deepEqual(reasons({ ...open, dbsToMigrate: ["a2"], dbsToMigratePatterns: ["a*"] }), [
      "databaseNames: a1 is not among dbsToMigrate",
      "dbsToTriggerCutoverOn: a1 is not in dbsToMigrate",
    ]);
    const literal = { dbsToMigrate: ["a*b", "!c"], dbsToMigratePatterns: [] };
    assert.deepEqual(checkInputs({ ...inputs, ...literal }).inputs?.dbsToMigrate, ["a*b", "!c"]);
  });
});
