import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Lab } from "../support/lab";
import { strictlyParsed } from "../support/report";
import { CommandLine } from "./command";

describe("pg-migration report of a canceled migration", () => {
  let lab: Lab;
  let command: CommandLine;

  before(async () => {
    // In this version, the target's role may not set session_replication_role, so foreign keys are deferred.
    lab = await Lab.start({ target: { major: 14 } });
    command = await CommandLine.in(lab);
  });

  after(async () => {
    await command.close();
    await lab.stop();
  });

  it("has the state Canceled, and what the target does not get", async () => {
    await lab.source.query("CREATE ROLE reader");
    const database = await lab.database(
      `CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2);
       CREATE TABLE child (id int PRIMARY KEY REFERENCES t); GRANT SELECT ON child TO reader;
       ALTER TABLE child ENABLE ROW LEVEL SECURITY;
       CREATE UNLOGGED TABLE volatile (id int PRIMARY KEY); INSERT INTO volatile VALUES (3)`,
    );
    const resource = await lab.follow([database]);
    const name = resource.inputs.migrationName as string;
    const canceled = await command.run(["update", "--name", name, "--cancel", "--wait"]);
    assert.equal(canceled.code, 0, canceled.stderr);

    const printed = await command.run(["report", "--name", name]);
    assert.equal(printed.code, 0, printed.stderr);
    const report = strictlyParsed(printed.stdout);
    assert.equal(report.migration.state, "Canceled");
    assert.deepEqual(
      report.databases.map(({ state, phase }) => [state, phase]),
      [["Canceled", "canceled"]],
    );
    assert.deepEqual(
      report.notMigrated.map(({ code, kind, object }) => [code ?? kind, object]),
      [
        ["ACL", "SCHEMA public, TABLE public.child"],
        ["FK CONSTRAINT", "public.child child_id_fkey"],
        ["OWNER", "public.child, public.t, public.volatile, public"],
        ["ROW SECURITY", "public.child"],
        ["SEQUENCE SET", "values of all sequences"],
        ["PGM-206", "public.volatile"],
        ["PGM-430", "reader"],
      ],
    );

    const file = join(command.directory, "canceled.html");
    const written = await command.run(["report", "--name", name, "--output", file]);
    assert.deepEqual([written.code, written.stderr], [0, `written: ${file}\n`]);
    const html = await readFile(file, "utf8");
    assert.match(html, />Canceled</);
    assert.match(html, /public\.volatile/);
    await resource.destroy();
  });
});
