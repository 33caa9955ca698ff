import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Seeded, seed } from "../../support/seeded";
import { until } from "../../support/until";
import type { Stage } from "../apply/stage";
import { RandomChanges, randomTables } from "../random-changes";
import { inSessions } from "../scene";

/** Tables that need different divisions, and procedures that change them in small and large transactions. */
const hardTables = `
  ${randomTables};
  CREATE TABLE log (v int, at timestamptz DEFAULT clock_timestamp());
  CREATE TABLE tenant (name text, code uuid, n bigint, PRIMARY KEY (name, code));
  CREATE TABLE seat (id int PRIMARY KEY, place int UNIQUE);
  INSERT INTO seat SELECT i, i FROM generate_series(1, 40) i;
  CREATE FUNCTION mix(steps int) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE a int; b int; old_place int;
  BEGIN
    FOR i IN 1..steps LOOP
      INSERT INTO log (v) VALUES (i);
      INSERT INTO tenant VALUES ('t' || i % 7, md5((random() * 300)::int::text)::uuid, i)
        ON CONFLICT (name, code) DO UPDATE SET n = tenant.n + 1;
      UPDATE tenant SET name = 't' || (1 + i % 6) WHERE ctid = (SELECT ctid FROM tenant t ORDER BY random() LIMIT 1)
         AND NOT EXISTS (SELECT FROM tenant o WHERE o.name = 't' || (1 + i % 6) AND o.code = tenant.code);
      DELETE FROM tenant WHERE n % 13 = 0;
      a := 1 + random() * 39; b := 1 + random() * 39;
      IF a <> b THEN
        SELECT place INTO old_place FROM seat WHERE id = a FOR UPDATE;
        UPDATE seat SET place = -a WHERE id = a;
        UPDATE seat SET place = old_place WHERE id = b AND place <> old_place RETURNING place INTO old_place;
        UPDATE seat SET place = 1000 + nextval('entry_id_seq') WHERE id = a;
      END IF;
    END LOOP;
  END $$`;

/** Terminates apply sessions at random moments while random changes are applied. */
export function followParallel(servers: Stage, kills: number): void {
  it(`lose and duplicate nothing at ${kills} terminated sessions (PG_MIGRATION_TEST_SEED=${seed})`, async function () {
    this.timeout(60_000 + kills * 10_000);
    const random = new Seeded(seed);
    const s = await servers.open(hardTables);
    const writers = await Promise.all(Array.from({ length: 3 }, () => servers.source.connect(s.database)));
    const changes = new RandomChanges(writers);
    const mixer = await servers.source.connect(s.database);
    let isMixing = true;
    const mixing = (async () => {
      while (isMixing) {
        await mixer.query("SELECT mix($1)", [random.oneIn(8) ? 300 : 1 + random.below(5)]).catch((error: unknown) => {
          if (!/^(40|23)/.test((error as { code?: string }).code ?? "")) throw error;
        });
        // Before 11, the stream does not contain TRUNCATE.
        if (servers.source.major >= 11 && random.oneIn(20)) await mixer.query("TRUNCATE bag");
        await sleep(2);
      }
    })();
    const lost: string[] = [];
    const follower = s.follow({
      ...inSessions(4),
      onEvent: (event) => {
        if (event.kind === "connectionLost") lost.push(event.reason);
      },
    });
    try {
      for (let kill = 0; kill < kills; kill++) {
        await until("several sessions apply", () => follower.status().applySessions === 4);
        const { parallelBatches } = follower.status();
        await until("they have applied a batch", () => follower.status().parallelBatches > parallelBatches);
        await sleep(random.below(100));
        await servers.target.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = '${s.database}' AND application_name LIKE '%apply changes%' ORDER BY random() LIMIT ${1 + random.below(2)}`,
        );
        await until("the loss is noticed", () => lost.length > kill);
      }
    } finally {
      isMixing = false;
      await mixing.finally(() => mixer.end());
      await changes.stop();
    }
    await s.mustBecomeEqual(follower);
    const [counts] = await s.onTarget(
      `SELECT inserts::int, (SELECT count(*)::int FROM log) AS rows FROM pgmigration.table_progress WHERE table_name = 'log'`,
    );
    assert.equal(counts!.inserts, counts!.rows, "each change is counted once");
  });
}
