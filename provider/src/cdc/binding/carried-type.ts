import { qualify } from "../../postgres/identifiers.js";
import type { Column } from "../../postgres/tables.js";

/**
 * The type in which values come to a column of the target: that below its domains. A `name` comes as text, whose form is
 * the same: it has a collation of its own, with which it is not comparable to a column that has another one.
 */
export const carriedType = ({ baseTypeSchema, baseType }: Pick<Column, "baseTypeSchema" | "baseType">): string =>
  qualify(baseTypeSchema, baseTypeSchema === "pg_catalog" && baseType === "name" ? "text" : baseType);
