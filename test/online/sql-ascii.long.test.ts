import { migrateSqlAscii } from "./sql-ascii";

migrateSqlAscii("test_decoding");
