import { migrateSqlAscii } from "./sql-ascii";

migrateSqlAscii("pgoutput");
