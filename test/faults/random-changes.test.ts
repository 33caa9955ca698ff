import { setTimeout as sleep } from "node:timers/promises";
import { Stage } from "../cdc/apply/stage";
import { versionPairs } from "../support/servers/version-pairs";
import { randomSchema } from "./random-schema";
import { RandomWriters } from "./random-writers";
import { Seeded } from "../support/seeded";

/** `PG_MIGRATION_TEST_SCHEMAS=100` for the long run, of so many schemas over each version. */
const schemas = Number(process.env.PG_MIGRATION_TEST_SCHEMAS ?? 1);
const seed = Number(process.env.PG_MIGRATION_TEST_SEED ?? Date.now() % 1e9);

for (const { from, to } of versionPairs([
  { from: 10, to: 17 },
  { from: 14, to: 18 },
  { from: 16, to: 16 },
  { from: 18, to: 18 },
]))
  describe(`random changes of random schemas, followed from PostgreSQL ${from} to ${to}`, () => {
    const servers = new Stage({ from, to, parameters: { max_prepared_transactions: 20 } });

    for (let one = 0; one < schemas; one++)
      it(`arrive once, in whatever batches (PG_MIGRATION_TEST_SEED=${seed + one})`, async () => {
        const random = new Seeded(seed + one);
        const schema = randomSchema(random, from);
        const scene = await servers.open(schema.ddl, from < 10 ? "test_decoding" : "pgoutput");
        await scene.onSource(schema.rows);
        // Alternately large batches, of what has piled up, and small ones.
        for (let round = 0; round < 3; round++) {
          const writers = new RandomWriters(servers.source, scene.database, schema, random.fork(), 3);
          const follower = round === 1 ? undefined : scene.follow({ generation: round + 1 });
          await sleep(1000);
          await writers.stop();
          await follower?.stop();
        }
        await scene.mustBecomeEqual(scene.follow({ generation: 10 }));
      });
  });
