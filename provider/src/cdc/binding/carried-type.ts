import { qualify } from "../../postgres/identifiers.js";
import type { Column } from "../../postgres/tables.js";

/**
 * The type in which values are sent to a column of the target: its base type, without domains. A `name` is sent as text,
 * which has the same form. `name` has its own collation and cannot be compared with a column of another collation.
 */
export const carriedType = ({ baseTypeSchema, baseType }: Pick<Column, "baseTypeSchema" | "baseType">): string =>
  qualify(baseTypeSchema, baseTypeSchema === "pg_catalog" && baseType === "name" ? "text" : baseType);
