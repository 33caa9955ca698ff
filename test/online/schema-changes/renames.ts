import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { assertSameContent } from "../../support/content";
import type { Lab } from "../../support/lab";
import { until } from "../../support/until";

/** Each step is run on the source after the target has taken the one before: keyless tables first, then ones with a key. */
export const renameSequences = {
  "RENAME twice": [
    "ALTER TABLE f RENAME TO f1; ALTER TABLE s RENAME TO s1",
    "ALTER TABLE f1 RENAME TO f2; ALTER TABLE s1 RENAME TO s2",
  ],
  "SET SCHEMA, then RENAME": [
    "ALTER TABLE f SET SCHEMA other; ALTER TABLE s SET SCHEMA other",
    "ALTER TABLE other.f RENAME TO f1; ALTER TABLE other.s RENAME TO s1",
  ],
  "RENAME SCHEMA, then RENAME TABLE": [
    "ALTER SCHEMA app RENAME TO shop",
    "ALTER TABLE shop.f RENAME TO f1; ALTER TABLE shop.s RENAME TO s1",
  ],
  "RENAME SCHEMA and RENAME TABLE at once": [
    "ALTER SCHEMA app RENAME TO shop; ALTER TABLE shop.f RENAME TO f1; ALTER TABLE shop.s RENAME TO s1",
  ],
  "RENAME and back": [
    "ALTER TABLE f RENAME TO f1; ALTER TABLE s RENAME TO s1",
    "ALTER TABLE f1 RENAME TO f; ALTER TABLE s1 RENAME TO s",
  ],
  "RENAME, then DROP": ["ALTER TABLE f RENAME TO f1; ALTER TABLE s RENAME TO s1", "DROP TABLE f1, s1"],
} as const;

const tables = (schema: string): string => `
  CREATE TABLE ${schema}.f (id int, v text); ALTER TABLE ${schema}.f REPLICA IDENTITY FULL;
  CREATE TABLE ${schema}.s (id serial PRIMARY KEY, v text);
  INSERT INTO ${schema}.f VALUES (1, 'a'); INSERT INTO ${schema}.s (v) VALUES ('a');`;

/** Runs each step on a followed source, and cuts over when the target has taken the last one. */
export async function renameWhileFollowing(lab: Lab, steps: readonly string[]): Promise<void> {
  const database = await lab.database(`
    CREATE SCHEMA app; CREATE SCHEMA other; CREATE TABLE unchanged (id int PRIMARY KEY);
    ${tables("app")} ${tables("public")}`);
  const resource = await lab.follow([database]);
  for (const step of steps) {
    await lab.source.query(step, { database });
    await until(`the target takes: ${step}`, async () =>
      isDeepStrictEqual(await tableNames(lab, "target", database), await tableNames(lab, "source", database)),
    );
  }
  await lab.source.query("INSERT INTO unchanged VALUES (1)", { database });
  assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
  assert.deepEqual(await tableNames(lab, "target", database), await tableNames(lab, "source", database));
  await assertSameContent(...lab.places(database));
  await resource.destroy();
}

export async function tableNames(lab: Lab, side: "source" | "target", database: string): Promise<unknown[]> {
  const sql = `SELECT schemaname || '.' || tablename AS name FROM pg_tables
                WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'pgmigration')
                  AND schemaname NOT LIKE 'pgmigration_dropped_%' ORDER BY 1`;
  const rows = side === "source" ? await lab.querySource(database, sql) : await lab.queryTarget(database, sql);
  return rows.map(({ name }) => name);
}
