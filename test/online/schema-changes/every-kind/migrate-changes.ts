import assert from "node:assert/strict";
import { dumpSchema } from "../../../../provider/src/schema/dump/dump";
import { type Entry, parseTocEntries } from "../../../../provider/src/schema/sql/toc-entries";
import { tokenize } from "../../../../provider/src/schema/sql/tokenize";
import { digests } from "../../../support/content";
import type { Lab } from "../../../support/lab";
import type { EmbeddedServer } from "../../../support/servers/embedded-server";
import { until } from "../../../support/until";
import type { ChangesOfEveryKind } from "./changes-of-every-kind";

/** Roles that the changes of every kind use. */
export async function createOwners(lab: Lab): Promise<void> {
  for (const server of [lab.source, lab.target]) await server.query("CREATE ROLE one_owner; CREATE ROLE other_owner");
  await lab.target.query(`GRANT one_owner, other_owner TO ${lab.administrator.user}`);
}

/** Runs the steps on a followed source, cuts over, and compares rows and pg_dump's output of both servers. */
export async function migrateChanges(
  lab: Lab,
  { before, steps, kept }: ChangesOfEveryKind,
  { isKilled = false }: { readonly isKilled?: boolean } = {},
): Promise<void> {
  const database = await lab.database(before);
  const resource = await lab.follow([database]);
  for (const [at, step] of steps.entries()) {
    if (isKilled) process.kill((await resource.refresh()).worker.pid!, "SIGKILL");
    await lab.source.query(
      `${step}; CREATE TABLE "step ${at}" (id int PRIMARY KEY); CREATE POLICY "step ${at}" ON base USING (true)`,
      { database },
    );
    if (isKilled) await resource.update({});
    // Policies are the last objects that the worker restores. The stream resumes when that is recorded.
    const isRestored = `SELECT FROM pg_policy WHERE polname = 'step ${at}'`;
    await until(`the target takes step ${at}`, async () => (await lab.queryTarget(database, isRestored)).length === 1);
    await lab.source.query(`INSERT INTO "step ${at}" VALUES (1)`, { database });
    const hasRow = `SELECT FROM "step ${at}"`;
    await until(
      `the stream resumes after step ${at}`,
      async () => (await lab.queryTarget(database, hasRow)).length === 1,
    );
    await lab.source.query("UPDATE base SET v = v || 'w'; UPDATE parted SET v = v || 'w'", { database });
  }
  assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
  const named = await lab.target.query<{ object: string; message: string }>(
    "SELECT object, message FROM pgmigration.finding WHERE database = $1 AND type = 'SchemaValidation' AND code <> 'PGM-510'",
    { values: [database] },
  );
  const extra = named.filter(({ message }) => /still exists on the target|exists only on the target/.test(message));
  assert.deepEqual(extra.map(({ object }) => object).sort(), kept);
  assert.deepEqual(
    // A superuser owns the other objects of the source.
    named.filter((one) => !extra.includes(one) && !one.message.includes("may not give objects to postgres")),
    [],
  );
  const [onSource, onTarget] = await Promise.all([lab.source, lab.target].map((server) => dumped(server, database)));
  const names = kept.map((one) => /"([^"]+)"\S*$/.exec(one)?.[1] ?? /\.(\S+)\(/.exec(one)![1]!);
  const isKept = (title: string): boolean => names.some((one) => title.includes(one));
  const different = [...new Set([...onSource!.keys(), ...onTarget!.keys()])].filter(
    (title) => onSource!.get(title) !== onTarget!.get(title) && !(onSource!.get(title) === undefined && isKept(title)),
  );
  assert.deepEqual(
    different.map((title) => [title, onSource!.get(title), onTarget!.get(title)]),
    [],
  );
  const [rows, copies] = await Promise.all(lab.places(database).map(digests));
  const same = Object.entries(copies!).filter(([name]) => rows![name] !== undefined || !isKept(name));
  assert.deepEqual(Object.fromEntries(same), rows);
  await resource.destroy();
}

/** The statements of each entry of a dump, without white space. The administrator owns what the superuser of the source owns. */
export async function dumped(server: EmbeddedServer, database: string): Promise<Map<string, string>> {
  const { text } = await dumpSchema({ ...server.login, sslMode: "Disable" }, database, { tool: "wasm" });
  // Before 15, the schema public has another owner.
  const isOwn = ({ type, name, schema = "" }: Entry): boolean =>
    /pgmigration_dropped_/.test(`${name} ${schema}`) ||
    /^(SCHEMA public|ACL SCHEMA public|COMMENT SCHEMA public)$/.test(`${type} ${name}`);
  return new Map(
    parseTocEntries(text)
      .filter((entry) => !isOwn(entry))
      .map(({ type, schema = "-", name, sql }) => [
        `${type} ${schema} ${name}`,
        tokenize(sql)
          .map(({ text: word }) => (word === "azureadmin" ? "postgres" : word))
          .join(" ")
          // Before 16, views print the table of each column.
          .replaceAll(" base . id", " id"),
      ]),
  );
}
