import { versionPairs } from "../support/servers/version-pairs";
import { followRandomChanges } from "./random-changes";

/** Over each pair of versions. */
const schemas = Number(process.env.PG_MIGRATION_TEST_SCHEMAS ?? 10);

for (const pair of versionPairs([
  { from: 10, to: 17 },
  { from: 14, to: 18 },
  { from: 16, to: 16 },
  { from: 18, to: 18 },
]))
  followRandomChanges(pair, schemas);
