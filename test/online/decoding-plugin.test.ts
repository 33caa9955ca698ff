import { migrateByTestDecoding } from "./decoding-plugin";

// Versions before 10 have no other plugin; what a newer one prints, cdc/changes and cdc/exactly-once read.
migrateByTestDecoding(10);
