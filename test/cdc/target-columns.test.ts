import assert from "node:assert/strict";
import { Stage } from "./apply/stage";
import type { FollowOptions } from "../../provider/src/cdc/follow-options";
import type { Follower } from "../../provider/src/cdc/follower";
import { until } from "../support/until";
import { type Scene, inSessions } from "./scene";

/** `was` never changes, so it shows which row of the start a row is. */
const tables = `
  CREATE TABLE keyed (id int PRIMARY KEY, was int, v text);
  CREATE TABLE large (id int PRIMARY KEY, was int, v text); ALTER TABLE large ALTER v SET STORAGE EXTERNAL;
  CREATE TABLE single (id int UNIQUE NOT NULL, was int UNIQUE, v text); ALTER TABLE single REPLICA IDENTITY USING INDEX single_id_key;
  CREATE TABLE complete (id int PRIMARY KEY, was int, v text); ALTER TABLE complete REPLICA IDENTITY FULL;
  CREATE TABLE bag (id int, was int, v text); ALTER TABLE bag REPLICA IDENTITY FULL;
  CREATE TABLE always (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, was int, v text);
  CREATE TABLE child (id int PRIMARY KEY REFERENCES keyed ON DELETE CASCADE ON UPDATE CASCADE, was int, v text)`;

const names = ["keyed", "large", "single", "complete", "bag", "always", "child"];

const rows = names.map((name) =>
  name === "always"
    ? "INSERT INTO always (was, v) SELECT i, 'v' FROM generate_series(1, 40) i"
    : `INSERT INTO ${name} SELECT i, i, ${name === "large" ? "repeat('v', 9000)" : "'v'"} FROM generate_series(1, 40) i`,
);

const ofTarget = names.map(
  (
    name,
  ) => `ALTER TABLE ${name} ADD note text DEFAULT 'default', ADD number int GENERATED ALWAYS AS IDENTITY (START 1000),
                                ADD twice int GENERATED ALWAYS AS (was * 2) STORED;
             UPDATE ${name} SET note = 'of ' || was`,
);

/** `always` can only be set to the next number. */
const settable = names.filter((name) => !["always", "child"].includes(name));

const changes = [
  ...settable.flatMap((name) => [
    `UPDATE ${name} SET id = id + 1000 WHERE id <= 20`,
    `BEGIN; UPDATE ${name} SET id = -1 WHERE id = 30; UPDATE ${name} SET id = 30 WHERE id = 31; UPDATE ${name} SET id = 31 WHERE id = -1; COMMIT`,
    `BEGIN; UPDATE ${name} SET v = 'first' WHERE id = 32; UPDATE ${name} SET id = 500 WHERE id = 32; UPDATE ${name} SET v = 'then' WHERE id = 500; UPDATE ${name} SET id = 501 WHERE id = 500; COMMIT`,
    `BEGIN; UPDATE ${name} SET id = 600 WHERE id = 33; UPDATE ${name} SET id = 33 WHERE id = 600; COMMIT`,
    `BEGIN; DELETE FROM ${name} WHERE id = 34; UPDATE ${name} SET id = 34 WHERE id = 35; COMMIT`,
    `BEGIN; UPDATE ${name} SET id = 700 WHERE id = 36; INSERT INTO ${name} VALUES (36, 9036, 'new'); COMMIT`,
    `BEGIN; DELETE FROM ${name} WHERE id = 37; INSERT INTO ${name} VALUES (37, 9037, 'again'); COMMIT`,
    `UPDATE ${name} SET v = 'changed' WHERE id IN (38, 1003)`,
  ]),
  "UPDATE always SET id = DEFAULT WHERE id < 10; UPDATE always SET v = 'changed' WHERE id > 20",
];

describe("columns that only the target has keep their values", () => {
  const servers = new Stage({ from: 16, to: 18 });

  /** Each row of the start still has the note and the number of its own, and each new one has the default note. */
  async function mustKeepValues(s: Scene): Promise<void> {
    for (const name of names) {
      const read = `SELECT id, was, v FROM ${name} ORDER BY was, id`;
      assert.deepEqual(await s.onTarget(read), await s.onSource(read), name);
      const lost = `SELECT * FROM ${name}
        WHERE note IS DISTINCT FROM CASE WHEN was > 9000 THEN 'default' ELSE 'of ' || was END OR twice <> was * 2
           OR number IS DISTINCT FROM CASE WHEN was > 9000 THEN number ELSE 999 + was END`;
      assert.deepEqual(await s.onTarget(lost), [], name);
    }
  }

  const drain = async (s: Scene, follower: Follower): Promise<void> =>
    Promise.race([s.sourceLsn().then((lsn) => follower.drainTo(lsn)), follower.finished]);

  /** A follower whose sessions are open and know the tables. */
  async function openFollower(s: Scene, options: Partial<FollowOptions>): Promise<Follower> {
    const follower = s.follow({ reconnectForSeconds: 60, ...options });
    const first = names.map((name) => `UPDATE ${name} SET v = 'first' WHERE id = 40`).join(";");
    // With several sessions, the first changes open them, and the second ones are divided.
    for (let time = 0; time < 2; time++) {
      await s.onSource(first);
      await drain(s, follower);
      follower.resume();
      await until("the sessions are open", () => follower.status().applySessions === (options.applySessions?.() ?? 1));
    }
    return follower;
  }

  for (const [how, options] of [
    ["one session applies changed keys", {}],
    ["four sessions apply changed keys", inSessions(4)],
    ["changed keys are applied as text", { valueForm: "text" }],
  ] satisfies [string, Partial<FollowOptions>][] as [string, Partial<FollowOptions>][]) {
    it(`when ${how}`, async () => {
      const s = await servers.open([tables, ...rows].join(";"));
      for (const ddl of ofTarget) await s.onTarget(ddl);
      for (const change of changes) await s.onSource(change);
      await drain(s, s.follow({ reconnectForSeconds: 60, ...options }));
      await mustKeepValues(s);
    });

    it(`when ${how}, and the target gets the columns during the stream`, async () => {
      const s = await servers.open([tables, ...rows].join(";"));
      const follower = await openFollower(s, options);
      for (const ddl of ofTarget) await s.onTarget(ddl);
      await follower.hold();
      for (const change of changes) await s.onSource(change);
      await drain(s, follower);
      await mustKeepValues(s);
    });
  }

  it("when four sessions are stopped while they apply changed keys, and the target then gets the columns", async () => {
    const s = await servers.open([tables, ...rows].join(";"));
    const follower = await openFollower(s, inSessions(4));
    await follower.hold();
    const application = await servers.target.connect(s.database, servers.administrator);
    await application.query("BEGIN; SELECT FROM keyed WHERE id = 7 FOR UPDATE");
    await s.onSource("UPDATE keyed SET id = id + 1000 WHERE id <= 20");
    follower.resume();
    const waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    await until("a session waits for the row", async () => (await s.onTarget(waiting)).length > 0);
    await follower.stop();
    await application.end();
    await s.onTarget("ALTER TABLE keyed ADD note int GENERATED ALWAYS AS IDENTITY");
    const notes = (): Promise<unknown> => s.onTarget("SELECT note FROM keyed ORDER BY note");
    const before = await notes();
    await drain(s, s.follow({ reconnectForSeconds: 60, generation: 2, ...inSessions(4) }));
    const read = "SELECT id, was, v FROM keyed ORDER BY id";
    assert.deepEqual(await s.onTarget(read), await s.onSource(read));
    assert.deepEqual(await notes(), before);
  });
});
