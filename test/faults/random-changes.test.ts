import { setTimeout as sleep } from "node:timers/promises";
import { Scene, type Servers } from "../cdc/scene";
import { startAzureLikeServer } from "../support/azure-like";
import { EmbeddedServer } from "../support/embedded-server";
import { versionPairs } from "../support/version-pairs";
import { randomSchema } from "./random-schema";
import { RandomWriters } from "./random-writers";
import { Seeded } from "./seeded";

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
    let servers: Servers;
    before(async () => {
      const parameters = { wal_level: "logical", max_prepared_transactions: 20 };
      const source = await EmbeddedServer.start({ major: from, parameters });
      const { server: target, administrator } = await startAzureLikeServer({ major: to });
      servers = { source, target, administrator };
    });
    after(async () => {
      await servers.source.stop();
      await servers.target.stop();
    });

    for (let one = 0; one < schemas; one++)
      it(`arrive once, in whatever batches (PG_MIGRATION_TEST_SEED=${seed + one})`, async () => {
        const random = new Seeded(seed + one);
        const schema = randomSchema(random, from);
        const scene = await Scene.open(servers, schema.ddl, from < 10 ? "test_decoding" : "pgoutput");
        try {
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
        } finally {
          await scene.close();
        }
      });
  });
