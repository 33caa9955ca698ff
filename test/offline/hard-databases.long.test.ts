import { migrateHardDatabases, migrateHardDatabasesOverOtherPairs } from "./hard-databases";

migrateHardDatabases();
migrateHardDatabasesOverOtherPairs();
