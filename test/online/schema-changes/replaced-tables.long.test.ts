import { replaceTablesWhileFollowing } from "./replaced-tables";

replaceTablesWhileFollowing(10, true);
