import { splitStatements, withoutSecrets, withoutSettingValues } from "./statements.js";
import type { Entry } from "./toc-entries.js";

/** Kinds whose options or body may contain a password. A column of another kind may be called options. */
const secretTypes = new Set([
  ...["FOREIGN DATA WRAPPER", "FOREIGN TABLE", "SERVER", "SUBSCRIPTION", "USER MAPPING"],
  ...["FUNCTION", "PROCEDURE"],
]);

/** For the operator, and so for messages and the records. */
export const shownSql = ({ type, sql }: Pick<Entry, "type" | "sql">): string =>
  secretTypes.has(type) ? splitStatements(sql).map(withoutSecrets).join(";\n") : withoutSettingValues(sql.trim());
