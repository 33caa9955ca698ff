import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { until } from "../../support/until";

describe("changes of types and schemas of a followed source", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  it("enum labels, attributes and names of schemas: are applied, and pause the database only for lost values", async () => {
    const database = await lab.database(`
      CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a int, b text); CREATE SCHEMA "Old";
      CREATE TYPE side AS ENUM ('left', 'right'); CREATE DOMAIN "Sided" AS side; CREATE TYPE place AS (s "Sided"[]); CREATE TYPE turned AS (a int, b int);
      CREATE TABLE sides (id int PRIMARY KEY, s side, p place); INSERT INTO sides VALUES (1, 'left', '({right})');
      CREATE TABLE turns (t turned); INSERT INTO turns VALUES ('(1,2)');
      CREATE TABLE feels (id int PRIMARY KEY, m mood[]); INSERT INTO feels VALUES (1, '{sad}');
      CREATE TYPE twice AS ENUM ('first'); CREATE TABLE twices (id int PRIMARY KEY, t twice); INSERT INTO twices VALUES (1, 'first');
      CREATE TYPE person AS (a int, b text); CREATE TABLE people OF person (PRIMARY KEY (a)); INSERT INTO people VALUES (1, 'b');
      CREATE TABLE parent (id int, v text); CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (parent); INSERT INTO heir VALUES (1, 'v');
      CREATE TABLE paired (id int PRIMARY KEY, p pair); INSERT INTO paired VALUES (1, '(1,b)');
      CREATE TABLE computed (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED); INSERT INTO computed VALUES (1);
      CREATE TABLE parted (id int PRIMARY KEY, v text, w text) PARTITION BY RANGE (id);
      CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10); INSERT INTO parted VALUES (1, 'v', 'w');
      CREATE TABLE "Old".t (id serial PRIMARY KEY, m mood); INSERT INTO "Old".t (m) VALUES ('sad')`);
    const resource = await lab.follow([database]);
    const changes: readonly (readonly [older: string, ddl: string, newer: string, expected: string])[] = [
      [
        "INSERT INTO feels VALUES (2, '{sad,happy}')",
        "ALTER TYPE mood ADD VALUE 'so so' BEFORE 'happy'; ALTER TYPE mood RENAME VALUE 'sad' TO 'low'",
        "INSERT INTO feels VALUES (3, '{low}'), (4, '{so so}')",
        `ALTER TYPE "public"."mood" RENAME VALUE 'sad' TO 'low'`,
      ],
      [
        "INSERT INTO sides VALUES (2, 'right', '({left})')",
        "ALTER TYPE side RENAME VALUE 'left' TO 'x'; ALTER TYPE side RENAME VALUE 'right' TO 'left'; ALTER TYPE side RENAME VALUE 'x' TO 'right'",
        "INSERT INTO sides VALUES (3, 'left', '({right})'); UPDATE sides SET id = 4 WHERE s = 'right'",
        `ALTER TYPE "public"."side" RENAME VALUE 'left' TO 'left (renamed)'; ALTER TYPE "public"."side" RENAME VALUE 'right' TO 'left'; ALTER TYPE "public"."side" RENAME VALUE 'left (renamed)' TO 'right'`,
      ],
      [
        "INSERT INTO turns VALUES ('(3,4)')",
        "ALTER TYPE turned DROP ATTRIBUTE a, ADD ATTRIBUTE a int",
        "INSERT INTO turns VALUES ('(5,6)')",
        `ALTER TYPE "public"."turned" DROP ATTRIBUTE "a" /* deletes the values of this attribute on the target */; ALTER TYPE "public"."turned" ADD ATTRIBUTE "a" integer`,
      ],
      [
        "INSERT INTO paired VALUES (2, '(2,b)')",
        "ALTER TYPE pair ADD ATTRIBUTE c int",
        "INSERT INTO paired VALUES (3, '(3,b,3)')",
        `ALTER TYPE "public"."pair" ADD ATTRIBUTE "c" integer`,
      ],
      [
        "INSERT INTO twices VALUES (2, 'first')",
        "ALTER TYPE twice RENAME VALUE 'first' TO 'second'; INSERT INTO twices VALUES (3, 'second'); ALTER TYPE twice RENAME VALUE 'second' TO 'third'",
        "INSERT INTO twices VALUES (4, 'third')",
        `ALTER TYPE "public"."twice" RENAME VALUE 'first' TO 'third'`,
      ],
      [
        "INSERT INTO people VALUES (2, 'b')",
        "ALTER TYPE person ADD ATTRIBUTE c int CASCADE; ALTER TYPE person RENAME ATTRIBUTE b TO d CASCADE",
        "INSERT INTO people VALUES (3, 'd', 3)",
        `ALTER TYPE "public"."person" ADD ATTRIBUTE "c" integer CASCADE; ALTER TYPE "public"."person" RENAME ATTRIBUTE "b" TO "d" CASCADE`,
      ],
      [
        "INSERT INTO heir VALUES (2, 'v')",
        "ALTER TABLE heir NO INHERIT parent; ALTER TABLE heir DROP COLUMN v",
        "INSERT INTO heir VALUES (3)",
        `ALTER TABLE "public"."heir" DROP COLUMN "v" /* deletes the values of this column on the target */`,
      ],
      [
        "INSERT INTO computed VALUES (2)",
        "ALTER TABLE computed ALTER g DROP EXPRESSION",
        "INSERT INTO computed VALUES (3, 5)",
        `ALTER TABLE "public"."computed" ALTER COLUMN "g" DROP EXPRESSION`,
      ],
      [
        "INSERT INTO parted VALUES (2, 'older', 'older')",
        "ALTER TABLE parted RENAME v TO x; ALTER TABLE parted RENAME w TO y",
        "INSERT INTO parted VALUES (3, 'newer', 'newer')",
        `ALTER TABLE "public"."parted" RENAME COLUMN "v" TO "x"; ALTER TABLE "public"."parted" RENAME COLUMN "w" TO "y"`,
      ],
      [
        `INSERT INTO "Old".t (m) VALUES ('happy')`,
        `ALTER SCHEMA "Old" RENAME TO "New"`,
        `INSERT INTO "New".t (m) VALUES ('low')`,
        `ALTER SCHEMA "Old" RENAME TO "New"`,
      ],
    ];
    const waiting = new Set(
      changes.flatMap(([, , , statement]) => (/ DROP (ATTRIBUTE|COLUMN)/.test(statement) ? [statement] : [])),
    );
    const write = async (...statements: readonly string[]): Promise<void> => {
      for (const sql of statements) await lab.source.query(sql, { database });
    };
    for (const [older, ddl, newer] of changes) await write(older, ...ddl.split("; "), newer);
    // Nothing may happen: the schema is compared each second, so a statement that is shown too early would be in the message.
    await sleep(1500);
    while (waiting.size > 0) {
      let named: string[] = [];
      await until(
        "a statement is named",
        async () => {
          const message = await resource.messageOf(database);
          named = [...waiting].filter((statement) => message.includes(statement));
          return named.length > 0;
        },
        90,
      );
      for (const statement of named) {
        await lab.queryTarget(database, statement);
        waiting.delete(statement);
      }
    }
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
