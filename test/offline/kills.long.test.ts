import { migrateWithKills } from "./killed-workers";

const kills = Number(process.env.PG_MIGRATION_TEST_KILLS ?? 15);

migrateWithKills({ kills: 6, killedWithinMs: 800, workers: 1 });
// Long enough for some migrations to end before the kill.
migrateWithKills({ kills, killedWithinMs: 5000, workers: 1 });
migrateWithKills({ kills, killedWithinMs: 5000, workers: 2 });
