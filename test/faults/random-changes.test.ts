import { versionPairs } from "../support/servers/version-pairs";
import { followRandomChanges } from "./random-changes";

for (const pair of versionPairs([{ from: 18, to: 18 }])) followRandomChanges(pair, 1);
