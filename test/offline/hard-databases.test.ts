import { migrateHardDatabases } from "./hard-databases";

migrateHardDatabases();
