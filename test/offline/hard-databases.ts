import assert from "node:assert/strict";
import { escapeIdentifier } from "pg";
import type { MigrationStatus } from "../../provider/dist/status.js";
import { connect } from "../../provider/src/postgres/connection/connect";
import { dumpSchema } from "../../provider/dist/schema/dump/dump.js";
import { parseTocEntries, type Entry } from "../../provider/src/schema/sql/toc-entries";
import { assertSameContent, digests } from "../support/content";
import { findingText, findingsOf } from "../support/findings";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { type VersionPair, versionPairs } from "../support/servers/version-pairs";
import { cornerDatabases, refusedDatabases } from "./corner-databases";
import { type HardDatabase, hardDatabases, rolesOfSource, rolesOfTarget } from "./databases";
import { nastyDatabases } from "./nasty-databases";

/** The version pairs of both suites. */
const pairs = versionPairs([
  { from: 10, to: 17, tool: "native" },
  { from: 14, to: 16, tool: "embedded" },
  { from: 18, to: 18, tool: "embedded" },
]);

/**
 * Lists entries of pg_dump that exist on the source and not on the target. An entry has the name of its object, and for
 * privileges those of the roles that granted or received them. Comments count as part of their objects.
 */
async function missingObjects(lab: Lab, database: string): Promise<string[][]> {
  const [source, target] = await Promise.all(
    [lab.source, lab.target].map(async ({ login }) => {
      const { text } = await dumpSchema({ ...login, sslMode: "Disable" }, database, { tool: "wasm" });
      return parseTocEntries(text).filter(({ type }) => type !== "COMMENT");
    }),
  );
  const keyOf = ({ type, schema, name }: Entry): string => `${type} ${schema ?? ""} ${name}`;
  const there = new Set(target!.map(keyOf));
  // Before PostgreSQL 15, the schema public had another owner.
  const missing = source!.filter((entry) => !there.has(keyOf(entry)) && keyOf(entry) !== "SCHEMA  public");
  return missing.map(({ type, name, sql }) => {
    const roles = type.endsWith("ACL") ? sql.matchAll(/(?:TO|FOR ROLE) "?((?<=")[^"]+|\w+)/g) : [];
    return [/[^ ]+$/.exec(name.replace(/[()]| AS .*/g, " ").trim())![0], ...[...roles].map(([, role]) => role!)];
  });
}

/** Before PostgreSQL 14, such a table cannot be distinguished from an empty one. */
async function notAnalyzed({ target }: Lab, database: string): Promise<string[]> {
  const session = await connect({ ...target.login, sslMode: "Disable" }, { database, purpose: "test" });
  try {
    const { rows } = await session.query<{ name: string }>(
      "SELECT relname AS name FROM pg_class WHERE relkind IN ('r', 'm') AND NOT relisshared AND reltuples < 0",
    );
    return rows.map(({ name }) => name);
  } finally {
    await session.end();
  }
}

const isMadeBy = ({ from = 10, to = 18 }: HardDatabase, major: number): boolean => from <= major && to >= major;

/** Databases that can be created without a superuser. */
const ownersDatabases: ReadonlySet<string> = new Set([
  "odd partitions",
  "views of views",
  "functions everywhere",
  "odd sequences",
  "odd large objects",
]);

/** The first pair for which a database can be created. One is enough for behaviour that does not depend on versions. */
const firstSource = (one: HardDatabase): number | undefined => pairs.find(({ from }) => isMadeBy(one, from))?.from;

/**
 * Databases for all majors run from the oldest source to the newest target, with both tools. The pairs in between run only in
 * the long suite.
 */
const isShown = (one: HardDatabase, major: number): boolean =>
  isMadeBy(one, major) && (firstSource(one) === major || major === pairs.at(-1)!.from);

/** Nasty and corner databases that this pair is the first to create. */
const onceEach = (databases: readonly HardDatabase[], { from }: VersionPair): HardDatabase[] =>
  databases.filter((one) => firstSource(one) === from);

/** Migrates the hard and the nasty databases over the first pair of versions. */
export function migrateHardDatabases(): void {
  const pair = pairs[0]!;
  const databases = [...hardDatabases.filter((one) => isShown(one, pair.from)), ...onceEach(nastyDatabases, pair)];
  migrateOverPair(pair, databases, onceEach(refusedDatabases, pair));
}

/** Migrates the corner databases over the first pair of versions, and all databases over the other pairs. */
export function migrateHardDatabasesOverOtherPairs(): void {
  const [first, ...others] = pairs;
  migrateOverPair(first!, onceEach(cornerDatabases, first!), []);
  for (const pair of others) {
    const databases = [
      ...hardDatabases.filter((one) => isMadeBy(one, pair.from)),
      ...onceEach([...nastyDatabases, ...cornerDatabases], pair),
    ];
    migrateOverPair(pair, databases, onceEach(refusedDatabases, pair));
  }
}

function migrateOverPair(
  { from, to, tool }: VersionPair,
  databases: readonly HardDatabase[],
  refused: readonly HardDatabase[],
): void {
  describe(`hard databases from PostgreSQL ${from} to ${to}, read by the ${tool ?? "native"} pg_dump`, () => {
    const unlessSet = process.env.PG_DUMP;
    let lab: Lab;
    let resource: Resource | undefined;
    let status: MigrationStatus;
    /** Findings of the validation, before anything was created. */
    let validated: MigrationStatus;
    let judged: MigrationStatus;

    before(async function () {
      // Creates and migrates dozens of databases, maybe on a busy machine.
      this.timeout(900_000);
      const extensions =
        "HSTORE,CITEXT,LTREE,PG_TRGM,BTREE_GIST,BTREE_GIN,INTARRAY,CUBE,ISN,SEG,LO,UNACCENT,PGCRYPTO,UUID-OSSP,DICT_INT,PAGEINSPECT";
      lab = await Lab.start({ source: { major: from }, target: { major: to, extensions: extensions.split(",") } });
      await lab.source.query(rolesOfSource);
      await lab.target.query(rolesOfTarget(lab.administrator.user, to));
      for (const { name, options = "", sql } of [...databases, ...refused]) {
        await lab.source.query(`CREATE DATABASE ${escapeIdentifier(name)} ${options}`);
        await lab.source.query(sql, { database: name });
      }
      if (tool === "embedded") process.env.PG_DUMP = "/nowhere/pg_dump";
      const validation = new Resource();
      const names = databases.map(({ name }) => name);
      validated = await validation.create(lab.inputs(names, { migrationOption: "Validate" }));
      await validation.destroy();
      if (refused.length > 0) judged = await judge(refused);
      resource = new Resource();
      status = await resource.create(lab.inputs(names));
    });

    /** Findings of the validation for databases that it must refuse. */
    async function judge(stopped: readonly HardDatabase[]): Promise<MigrationStatus> {
      const judgement = new Resource();
      const names = stopped.map(({ name }) => name);
      await Resource.failure(judgement.create(lab.inputs(names, { migrationOption: "Validate" })));
      const { status: said } = judgement;
      await judgement.destroy();
      return said;
    }

    after(async () => {
      if (unlessSet === undefined) delete process.env.PG_DUMP;
      else process.env.PG_DUMP = unlessSet;
      await resource?.destroy();
      await lab.stop();
    });

    if (firstSource({ name: "", sql: "", from: 14 }) === from)
      it("are migrated completely without a superuser on either side", async () => {
        const login = { user: "ordinary", password: "ordinary" };
        await lab.source.query(`GRANT there, g2, g3 TO ${login.user}`);
        const owned = [...nastyDatabases, ...cornerDatabases]
          .filter(({ name }) => ownersDatabases.has(name))
          .map((one) => ({ ...one, name: `my ${one.name}` }));
        assert.equal(owned.length, ownersDatabases.size);
        for (const { name, options = "", sql } of owned) {
          await lab.source.query(`CREATE DATABASE ${escapeIdentifier(name)} OWNER ${login.user} ${options}`);
          // Owners of objects need CREATE on the schema public, which PostgreSQL 15 revoked from PUBLIC.
          if (from >= 15) await lab.source.query("GRANT CREATE ON SCHEMA public TO there", { database: name });
          await lab.source.query(sql, { database: name, login });
        }
        const byOwner = new Resource();
        const names = owned.map(({ name }) => name);
        await byOwner.create(lab.inputs(names, { source: { ...lab.source.login, ...login, sslMode: "Prefer" } }));
        for (const database of names) {
          await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
          const said = findingsOf(byOwner.status, database).map(findingText).join("\n");
          const unsaid = (await missingObjects(lab, database)).filter(
            (parts) => !parts.some((part) => said.includes(part)),
          );
          assert.deepEqual(unsaid, [], `not named: ${said}`);
        }
        await byOwner.destroy();
      });

    for (const { name, refused: finding } of refused)
      it(`are refused before anything is copied: ${name}`, () => {
        const found = findingsOf(judged, name).map(findingText);
        assert(
          found.some((text) => finding!.test(text)),
          `${finding} in ${found.join("\n")}`,
        );
      });

    for (const { name, findings, unfilled = [] } of databases)
      it(`arrive completely, or findings report what is missing: ${name}`, async () => {
        assert.equal(status.currentSubStateDetails.dbDetails[name]!.migrationState, "Succeeded");
        const [expected, actual] = await Promise.all([
          digests({ server: lab.source, database: name }),
          digests({ server: lab.target, database: name }),
        ]);
        const kept = Object.entries(expected).filter(([table]) => !unfilled.includes(table));
        assert.deepEqual(actual, Object.fromEntries(kept));
        assert.deepEqual(await notAnalyzed(lab, name), []);
        const found = findingsOf(status, name).map(findingText);
        for (const finding of findings ?? [])
          assert(
            found.some((text) => finding.test(text)),
            `${finding} in ${found.join("\n")}`,
          );
        if (!findings) return;
        const said = findingsOf(validated, name).map(findingText).join("\n");
        const unsaid = (await missingObjects(lab, name)).filter((names) => !names.some((one) => said.includes(one)));
        assert.deepEqual(unsaid, [], `not named before the copy, which said:\n${said}`);
      });
  });
}
