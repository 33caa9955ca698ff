import { versionPairs } from "../support/servers/version-pairs";
import { migrateUnderFaults } from "./killed-migrations";

for (const pair of versionPairs([{ from: 14, to: 18 }])) migrateUnderFaults(pair, 3);
