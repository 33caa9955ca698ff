import { ContentDiffersError } from "../errors.js";
import { qualify } from "../postgres/identifiers.js";
import type { SchemaDifference } from "./compare-schema.js";
import type { TableComparison } from "./compare-tables.js";

/** Maximum number of tables, and of schema objects, in a message. */
const maxNamed = 20;

const migrateAgain =
  "find the session that writes to the target (or, for tables without a key, updates the source), correct these rows, and run pulumi up again";

/** The error with all differences; undefined if there are none. */
export function contentDiffers(
  database: string,
  tables: readonly TableComparison[],
  schema: readonly SchemaDifference[] = [],
  remedy = migrateAgain,
): ContentDiffersError | undefined {
  const unequal = tables.filter(({ equal }) => !equal);
  if (unequal.length === 0 && schema.length === 0) return undefined;
  const lines = [...listed(unequal.map(tableLine), "tables"), ...listed(schema.map(schemaLine), "objects")];
  return new ContentDiffersError(`${database}: source and target are not equal:\n${lines.join("\n")}`, { remedy });
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
  if (lines.length <= maxNamed) return [...lines];
  return [...lines.slice(0, maxNamed), `  and ${lines.length - maxNamed} more ${of}`];
}
