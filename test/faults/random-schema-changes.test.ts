import { versionPairs } from "../support/servers/version-pairs";
import { cutOverAfterRandomSchemaChanges } from "./random-schema-changes";

const sequences = Number(process.env.PG_MIGRATION_TEST_SCHEMA_CHANGES ?? 3);

for (const pair of versionPairs([{ from: 14, to: 17 }])) cutOverAfterRandomSchemaChanges(pair, sequences);
