import { versionPairs } from "../support/servers/version-pairs";
import { migrateUnderFaults } from "./killed-migrations";

/** For each pair of versions. */
const kills = Number(process.env.PG_MIGRATION_TEST_KILLS ?? 12);

for (const pair of versionPairs([
  { from: 10, to: 16 },
  { from: 14, to: 17 },
  { from: 16, to: 18 },
  { from: 18, to: 18 },
]))
  migrateUnderFaults(pair, kills);
