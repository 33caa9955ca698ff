import { Lab } from "../support/lab";
import { versionPairs } from "../support/servers/version-pairs";
import { DisturbedMigration } from "./disturbed-migration";
import { Seeded } from "../support/seeded";
import { told } from "./strikes";

/** `PG_MIGRATION_TEST_KILLS=300` for the long run; then over every pair of versions. */
const kills = Number(process.env.PG_MIGRATION_TEST_KILLS ?? 5);
/** `PG_MIGRATION_TEST_SEED=123` repeats schema, statements and faults; not their moments. */
const seed = Number(process.env.PG_MIGRATION_TEST_SEED ?? Date.now() % 1e9);
const isLong = process.env.PG_MIGRATION_TEST_KILLS !== undefined;
const killsOfOne = 8;
const pairs = versionPairs(
  isLong
    ? [
        { from: 10, to: 16 },
        { from: 14, to: 17 },
        { from: 16, to: 18 },
        { from: 18, to: 18 },
      ]
    : [{ from: 14, to: 18 }],
);

for (const [place, { from, to }] of pairs.entries())
  describe(`an online migration from PostgreSQL ${from} to ${to} under faults`, () => {
    let lab: Lab;
    before(async () => {
      const parameters = { max_prepared_transactions: 20, wal_sender_timeout: "10s" };
      lab = await Lab.start({ source: { major: from, parameters }, target: { major: to } });
    });
    after(() => lab.stop());

    const share = Math.ceil(kills / pairs.length);
    it(`loses and doubles nothing at ${share} kills (PG_MIGRATION_TEST_SEED=${seed})`, async function () {
      this.timeout(120_000 + share * 120_000);
      const random = new Seeded(seed + place);
      const seen = new Map<string, number>();
      for (let done = 0; done < share;) {
        const most = Math.min(share - done, killsOfOne);
        const strikes = await DisturbedMigration.run(lab, new Seeded(random.below(1e9)), most);
        done += strikes.kills;
        for (const [what, times] of strikes.seen) seen.set(what, (seen.get(what) ?? 0) + times);
      }
      if (isLong) console.log(`      ${told(seen)}`);
    });
  });
