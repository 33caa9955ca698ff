import { replaceTablesWhileFollowing } from "./replaced-tables";

// Up to 10 the source does not publish TRUNCATE.
replaceTablesWhileFollowing(10);
replaceTablesWhileFollowing(18);
