import { Lab } from "../../../support/lab";
import { sharedObjects } from "./changes-of-every-kind";
import { createOwners, migrateChanges } from "./migrate-changes";

const returning = (value: number): string => `RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT ${value}'`;

const objects = `${sharedObjects};
  CREATE SCHEMA app; CREATE SCHEMA other;
  CREATE FUNCTION one() ${returning(1)}; CREATE FUNCTION two() ${returning(2)}; COMMENT ON FUNCTION two() IS 'two';
  CREATE VIEW narrow AS SELECT id FROM base; CREATE VIEW wide AS SELECT id, v FROM base; CREATE VIEW needs AS SELECT one() AS one, v FROM wide;
  CREATE FUNCTION a() ${returning(3)}; CREATE FUNCTION b() ${returning(4)}; CREATE FUNCTION c() ${returning(5)}; CREATE FUNCTION again() ${returning(6)};
  CREATE FUNCTION into_new() ${returning(10)}; CREATE VIEW into_new AS SELECT into_new() AS v; CREATE FUNCTION f(int) ${returning(7)}; CREATE FUNCTION f(text) ${returning(8)}; CREATE FUNCTION app.f(int) ${returning(9)};
  CREATE AGGREGATE total(*) (SFUNC = int8inc, STYPE = bigint, INITCOND = '0');
  CREATE VIEW gone AS SELECT 1 AS id; CREATE VIEW "gone new" AS SELECT 2 AS id;
  CREATE TABLE app.owner (id serial PRIMARY KEY); INSERT INTO app.owner DEFAULT VALUES;
  CREATE TABLE app.counted (id int PRIMARY KEY); CREATE MATERIALIZED VIEW app.counts AS SELECT id FROM app.counted;
  CREATE STATISTICS app.related ON id, v FROM base; CREATE VIEW app.both AS SELECT id FROM app.owner`;

const first = `
  ALTER FUNCTION one() RENAME TO three; ALTER FUNCTION two() RENAME TO one; ALTER FUNCTION three() RENAME TO two;
  ALTER VIEW narrow RENAME TO other; ALTER VIEW wide RENAME TO narrow; ALTER VIEW other RENAME TO wide;
  DROP FUNCTION c(); ALTER FUNCTION b() RENAME TO d; ALTER FUNCTION a() RENAME TO b; ALTER FUNCTION again() RENAME TO once;
  ALTER FUNCTION f(int) RENAME TO g; ALTER FUNCTION app.f(int) SET SCHEMA other; ALTER FUNCTION other.f(int) RENAME TO h;
  ALTER AGGREGATE total(*) RENAME TO sum_of_all; DROP VIEW gone; ALTER VIEW "gone new" RENAME TO gone;
  ALTER TABLE app.counted RENAME TO numbers; ALTER TABLE app.owner SET SCHEMA other; ALTER VIEW app.both RENAME TO all_of_them;
  ALTER SCHEMA app RENAME TO shop; ALTER TABLE base ADD computed int DEFAULT d()`;

const second = `
  CREATE OR REPLACE FUNCTION once() ${returning(60)}; ALTER FUNCTION once() RENAME TO twice;
  CREATE FUNCTION once() ${returning(61)}; DROP FUNCTION g(int); CREATE FUNCTION g(int) ${returning(70)};
  ALTER SEQUENCE other.owner_id_seq RENAME TO numbers_of_owners; ALTER VIEW wide SET SCHEMA shop; ALTER FUNCTION two() SET SCHEMA shop;
  CREATE SCHEMA fresh; ALTER FUNCTION into_new() SET SCHEMA fresh; ALTER VIEW into_new SET SCHEMA fresh`;

describe("functions, views and other objects that the source renames while it is followed", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
    await createOwners(lab);
  });
  after(() => lab.stop());

  it("exchanged, repeated, and together with tables and schemas: the target's objects are renamed", () =>
    migrateChanges(lab, {
      before: objects,
      steps: [first, second],
      kept: ["function public.c()", 'view public."gone new"'],
    }));
});
