import { replaceTablesWhileFollowing } from "./replaced-tables";

// Up to 10 the source does not publish TRUNCATE.
replaceTablesWhileFollowing(10, false);
replaceTablesWhileFollowing(18, true);
