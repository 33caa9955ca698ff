import assert from "node:assert/strict";
import { escapeIdentifier } from "pg";
import type { MigrationStatus } from "../../provider/dist/status.js";
import { digests } from "../support/content";
import type { Major } from "../support/embedded-server";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { hardDatabases, rolesOfSource, rolesOfTarget } from "./databases";

const pairs = [
  { from: 10, to: 17, tool: "native" },
  { from: 14, to: 18, tool: "embedded" },
  { from: 18, to: 18, tool: "embedded" },
] as const satisfies readonly { from: Major; to: 17 | 18; tool: string }[];

/** Everything that was found about one database, as text. */
function findingsOf(status: MigrationStatus, database: string): string[] {
  const details = status.currentSubStateDetails.validationDetails!;
  return details.dbLevelValidationDetails
    .filter(({ databaseName }) => databaseName === database)
    .flatMap(({ summary }) => summary.flatMap(({ messages }) => messages))
    .filter(({ state }) => state !== "Succeeded")
    .map(({ object, message }) => `${object ?? ""}: ${message}`);
}

for (const { from, to, tool } of pairs) {
  describe(`hard databases from PostgreSQL ${from} to ${to}, read by the ${tool} pg_dump`, () => {
    const databases = hardDatabases.filter((one) => (one.from ?? 10) <= from && (one.to ?? 18) >= from);
    const unlessSet = process.env.PG_DUMP;
    let lab: Lab;
    let resource: Resource;
    let status: MigrationStatus;

    before(async () => {
      const extensions = ["HSTORE", "CITEXT", "LTREE"];
      lab = await Lab.start({ source: { major: from }, target: { major: to, extensions } });
      await lab.source.query(rolesOfSource);
      await lab.target.query(rolesOfTarget(lab.administrator.user));
      for (const { name, options = "", sql } of databases) {
        await lab.source.query(`CREATE DATABASE ${escapeIdentifier(name)} ${options}`);
        await lab.source.query(sql, { database: name });
      }
      if (tool === "embedded") process.env.PG_DUMP = "/nowhere/pg_dump";
      resource = new Resource();
      status = await resource.create(lab.inputs(databases.map(({ name }) => name)));
    });

    after(async () => {
      if (unlessSet === undefined) delete process.env.PG_DUMP;
      else process.env.PG_DUMP = unlessSet;
      await resource.destroy();
      await lab.stop();
    });

    for (const { name, findings = [] } of databases)
      it(`arrive whole or say what is missing: ${name}`, async () => {
        assert.equal(status.currentSubStateDetails.dbDetails[name]!.migrationState, "Succeeded");
        const [expected, actual] = await Promise.all([
          digests({ server: lab.source, database: name }),
          digests({ server: lab.target, database: name }),
        ]);
        assert.deepEqual(actual, expected);
        const found = findingsOf(status, name);
        for (const finding of findings)
          assert(
            found.some((text) => finding.test(text)),
            `${finding} in ${found.join("\n")}`,
          );
      });
  });
}
