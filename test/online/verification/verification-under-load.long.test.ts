import { verifyUnderLoad } from "./verification-under-load";

verifyUnderLoad(Number(process.env.PG_MIGRATION_TEST_ROUNDS ?? 20));
