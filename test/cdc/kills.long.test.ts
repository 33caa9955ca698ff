import { killFollower } from "./killed-follower";

killFollower(Number(process.env.PG_MIGRATION_TEST_KILLS ?? 25));
