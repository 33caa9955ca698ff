import { migrateByTestDecoding } from "./decoding-plugin";

migrateByTestDecoding(16);
