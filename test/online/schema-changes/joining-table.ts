import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import type { Lab } from "../../support/lab";
import { until } from "../../support/until";

/** An application that waits longer than this for the migration fails the test. */
export const impatiently = { options: "-c lock_timeout=5000" } as object;

/** Computing this takes long on the target, whose version is newer. */
const slowly = `
  CREATE FUNCTION slowly(int) RETURNS int IMMUTABLE LANGUAGE sql
    AS $$ SELECT $1 FROM pg_sleep(CASE WHEN current_setting('server_version_num')::int >= 170000 THEN 0.1 ELSE 0 END) $$`;

/** Runs a statement on the new table `late` while its rows are copied, and cuts over. */
export async function changeWhileJoining(lab: Lab, statement: string): Promise<void> {
  const database = await lab.database(`CREATE TABLE t (id int PRIMARY KEY); ${slowly}`);
  const resource = await lab.follow([database]);
  await lab.querySource(
    database,
    "CREATE TABLE late (id int PRIMARY KEY, copy int GENERATED ALWAYS AS (slowly(id)) STORED); INSERT INTO late SELECT generate_series(1, 80)",
  );
  await until("the rows of the new table are copied", () => isCopied(lab, database, "late"));
  await lab.source.query(statement, { database, login: impatiently });
  await lab.querySource(database, "INSERT INTO t VALUES (1)");
  assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
  await assertSameContent(...lab.places(database));
  await resource.destroy();
}

/** Truncates one joining table again and again while another one is copied, which takes longer than the pauses. */
export async function truncateBesideJoining(lab: Lab): Promise<void> {
  const database = await lab.database(`CREATE TABLE t (id int PRIMARY KEY); ${slowly}`);
  const resource = await lab.follow([database]);
  await lab.querySource(
    database,
    `BEGIN; CREATE TABLE late (id int PRIMARY KEY, copy int GENERATED ALWAYS AS (slowly(id)) STORED);
     INSERT INTO late SELECT generate_series(1, 200);
     CREATE TABLE truncated (id int PRIMARY KEY REFERENCES late); INSERT INTO truncated VALUES (1); COMMIT`,
  );
  const isJoined = async (): Promise<boolean> => {
    await lab.source.query("BEGIN; TRUNCATE truncated; INSERT INTO truncated VALUES (2); COMMIT; SELECT pg_sleep(8)", {
      ...{ database, login: impatiently },
    });
    return (await lab.queryTarget(database, "SELECT to_regclass('late') AS found"))[0]!.found === null
      ? false
      : (await lab.queryTarget(database, "SELECT FROM late")).length === 200;
  };
  await until("the table that is not truncated is copied", isJoined);
  assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
  await assertSameContent(...lab.places(database));
  const keys = "SELECT FROM pg_constraint WHERE contype = 'f' AND convalidated";
  assert.equal((await lab.queryTarget(database, keys)).length, 1);
  await resource.destroy();
}

/** Alters joining tables while the snapshot, under which their rows are copied, waits for a transaction. */
export async function alterBeforeSnapshot(lab: Lab): Promise<void> {
  const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
  const resource = await lab.follow([database]);
  const open = await lab.source.connect(database);
  await open.query("BEGIN; SELECT txid_current()");
  await lab.querySource(
    database,
    `CREATE TABLE kept AS SELECT 1 AS id; CREATE TABLE late (id int PRIMARY KEY, gone int); INSERT INTO late VALUES (1, 2);
     CREATE TABLE retyped (id int PRIMARY KEY, v int); INSERT INTO retyped VALUES (1, 2)`,
  );
  const isLogged = async (text: string): Promise<boolean> => {
    const events = await lab.target.query("SELECT FROM pgmigration.event WHERE migration = $1 AND message LIKE $2", {
      values: [resource.inputs.migrationName, `%${text}%`],
    });
    return events.length > 0;
  };
  await until("the snapshot waits", () => isLogged("new tables are copied when older transactions on the source end"));
  await lab.querySource(database, "ALTER TABLE late DROP gone; ALTER TABLE retyped ALTER v TYPE bigint");
  await open.end();
  await until("the unaltered table is copied without the others", () => isLogged('"late" is copied later'));
  const statements = `ALTER TABLE "public"."late" DROP COLUMN "gone" /* deletes the values of this column on the target */; ALTER TABLE "public"."retyped" ALTER COLUMN "v" TYPE bigint USING "v"::bigint`;
  await lab.runRequested(resource, database, statements);
  assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
  await assertSameContent(...lab.places(database));
  await resource.destroy();
}

/** Truncates a joining table every two seconds, while the stream also applies rows that take the target half a second. */
export async function truncateEveryTwoSeconds(lab: Lab): Promise<void> {
  const database = await lab.database(
    `${slowly}; CREATE TABLE t (id serial PRIMARY KEY, copy int GENERATED ALWAYS AS (slowly(id)) STORED)`,
  );
  const resource = await lab.follow([database]);
  await lab.querySource(database, "CREATE TABLE late (id int PRIMARY KEY)");
  const refill = `
    BEGIN; TRUNCATE late; INSERT INTO late SELECT generate_series(1, 20);
    INSERT INTO t SELECT FROM generate_series(1, 5); COMMIT; SELECT pg_sleep(2)`;
  const isCopied = async (): Promise<boolean> => {
    await lab.source.query(refill, { database, login: impatiently });
    const [row] = await lab.queryTarget(database, "SELECT to_regclass('late') AS found");
    return row!.found !== null && (await lab.queryTarget(database, "SELECT FROM late")).length === 20;
  };
  // A slow machine needs more attempts.
  await until("the table is copied", isCopied, 240);
  assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
  await assertSameContent(...lab.places(database));
  await resource.destroy();
}

/** Truncates a joining table again and again until the fence of the cutover prevents it. */
export async function truncateUntilFenced(lab: Lab): Promise<void> {
  const database = await lab.database(`CREATE TABLE t (id int PRIMARY KEY); ${slowly}`);
  const resource = await lab.follow([database], { fence: "readOnly" });
  await lab.querySource(
    database,
    "CREATE TABLE late (id int PRIMARY KEY, copy int GENERATED ALWAYS AS (slowly(id)) STORED)",
  );
  const refill = "BEGIN; TRUNCATE late; INSERT INTO late SELECT generate_series(1, 20); COMMIT";
  let refused = "";
  const truncate = async (): Promise<void> => {
    while (refused === "")
      await lab.source.query(refill, { database, login: impatiently }).catch((error: unknown) => {
        // The fence terminates sessions first.
        const { message } = error as Error;
        if (!/terminat|ECONNRESET/.test(message)) refused = message;
      });
  };
  const [{ state }] = await Promise.all([
    resource.update({ triggerCutover: true }).finally(() => (refused ||= "the cutover has ended")),
    truncate(),
  ]);
  assert.equal(state, "Succeeded");
  assert.match(refused, /read-only transaction/);
  assert(resource.status.cutoverTimeline.some(({ step }) => step === "put up the fence early"));
  const raised = await lab.target.query(
    "SELECT FROM pgmigration.event WHERE migration = $1 AND message LIKE 'the source is read-only for every role%'",
    { values: [resource.inputs.migrationName] },
  );
  assert.equal(raised.length, 1);
  await assertSameContent(...lab.places(database));
  await resource.destroy();
}

async function isCopied(lab: Lab, database: string, table: string): Promise<boolean> {
  const copies = await lab.querySource(
    database,
    `SELECT FROM pg_stat_activity
      WHERE datname = current_database() AND application_name LIKE 'pg-migration % join%' AND query LIKE 'COPY%"${table}"%'`,
  );
  return copies.length > 0;
}
