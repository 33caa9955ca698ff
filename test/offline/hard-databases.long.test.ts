import { migrateHardDatabasesOverOtherPairs } from "./hard-databases";

migrateHardDatabasesOverOtherPairs();
