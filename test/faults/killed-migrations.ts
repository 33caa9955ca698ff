import assert from "node:assert/strict";
import { Lab } from "../support/lab";
import { Seeded, seed } from "../support/seeded";
import type { VersionPair } from "../support/servers/version-pairs";
import { DisturbedMigration } from "./disturbed-migration";
import { describeFaults } from "./strikes";

const maxKillsOfOneMigration = 8;

/** Migrates random schemas online, one after the other, until `kills` workers are killed. The seed repeats a run. */
export function migrateUnderFaults({ from, to }: VersionPair, kills: number): void {
  describe(`an online migration from PostgreSQL ${from} to ${to} under faults`, () => {
    let lab: Lab;
    before(async () => {
      const parameters = { max_prepared_transactions: 20, wal_sender_timeout: "10s" };
      lab = await Lab.start({ source: { major: from, parameters }, target: { major: to } });
    });
    after(() => lab.stop());

    it(`loses and duplicates nothing at ${kills} kills (PG_MIGRATION_TEST_SEED=${seed})`, async function () {
      this.timeout(120_000 + kills * 120_000);
      const random = new Seeded(seed + from + to);
      const seen = new Map<string, number>();
      let done = 0;
      while (done < kills) {
        const most = Math.min(kills - done, maxKillsOfOneMigration);
        // The run compares rows, definitions and sequences at its end.
        const strikes = await DisturbedMigration.run(lab, new Seeded(random.below(1e9)), most);
        done += strikes.kills;
        for (const [what, times] of strikes.seen) seen.set(what, (seen.get(what) ?? 0) + times);
      }
      assert.ok(done >= kills, `${done} kills: ${describeFaults(seen)}`);
    });
  });
}
