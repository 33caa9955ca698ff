import { versionPairs } from "../support/servers/version-pairs";
import { migrateEveryShape } from "./shapes";

for (const pair of versionPairs([
  { from: 10, to: 18 },
  { from: 18, to: 18 },
]))
  migrateEveryShape(pair);
