import { Stage } from "../cdc/apply/stage";
import { Seeded, seed } from "../support/seeded";
import { until } from "../support/until";
import type { VersionPair } from "../support/servers/version-pairs";
import { randomSchema } from "./random-schema";
import { RandomWriters } from "./random-writers";

const transactionsOfRound = 100;

/** Replicates random changes of random schemas. */
export function followRandomChanges({ from, to }: VersionPair, schemas: number): void {
  describe(`random changes of random schemas from PostgreSQL ${from} to ${to}`, () => {
    const servers = new Stage({ from, to, parameters: { max_prepared_transactions: 20 } });

    for (let one = 0; one < schemas; one++)
      it(`are applied exactly once, in large and small batches (PG_MIGRATION_TEST_SEED=${seed + one})`, async () => {
        const random = new Seeded(seed + one);
        const schema = randomSchema(random, from);
        const scene = await servers.open(schema.ddl, from < 10 ? "test_decoding" : "pgoutput");
        await scene.onSource(schema.rows);
        // The second round writes without a follower, so its changes are applied in large batches.
        for (let round = 0; round < 3; round++) {
          const writers = new RandomWriters(servers.source, scene.database, { schema, random: random.fork() });
          const follower = round === 1 ? undefined : scene.follow({ generation: round + 1 });
          await until("the writers have committed", () => writers.transactions >= transactionsOfRound);
          await writers.stop();
          await follower?.stop();
        }
        await scene.mustBecomeEqual(scene.follow({ generation: 10 }));
      });
  });
}
