import { ContentDiffers } from "../errors.js";
import { qualify } from "../postgres/identifiers.js";
import type { SchemaDifference } from "./compare-schema.js";
import type { TableComparison } from "./compare-tables.js";

/** How many tables, and objects of the schema, a message names. */
const mostNamed = 20;

/** The error for comparisons of which some are not equal; undefined when all are. */
export function contentDiffers(
  database: string,
  tables: readonly TableComparison[],
  schema: readonly SchemaDifference[] = [],
): ContentDiffers | undefined {
  const unequal = tables.filter(({ equal }) => !equal);
  if (unequal.length === 0 && schema.length === 0) return undefined;
  const lines = [...listed(unequal.map(tableLine), "tables"), ...listed(schema.map(schemaLine), "objects")];
  return new ContentDiffers(`${database}: source and target are not equal:\n${lines.join("\n")}`, {
    remedy:
      "find out who else writes on the target (or, for tables without a key, updates on the source), put these rows right, and run pulumi up again",
  });
}

function tableLine({ schema, table, sourceRows, targetRows, firstDifferences }: TableComparison): string {
  const rows =
    sourceRows === targetRows
      ? `${sourceRows} rows on both sides, some different`
      : `${sourceRows} rows on the source, ${targetRows} on the target`;
  const keys = firstDifferences.map(({ key, kind }) => `${kind} (${key})`);
  return `  ${qualify(schema, table)}: ${rows}${keys.length > 0 ? `: ${keys.join(", ")}` : ""}`;
}

function schemaLine({ kind, name, source, target }: SchemaDifference): string {
  if (source === undefined) return `  ${kind} ${name} is missing on the target`;
  return `  ${kind} ${name}: ${source} on the source, ${target ?? ""} on the target`;
}

function listed(lines: readonly string[], of: string): string[] {
  if (lines.length <= mostNamed) return [...lines];
  return [...lines.slice(0, mostNamed), `  and ${lines.length - mostNamed} more ${of}`];
}
