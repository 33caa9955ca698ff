import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const column = z.strictObject({
  name: z.string(),
  type: z.string(),
  default: z.string().optional(),
  notNull: z.boolean().default(false),
});

const foreignKey = z.strictObject({
  columns: z.array(z.string()).min(1),
  references: z.string(),
  referencedColumns: z.array(z.string()).min(1),
});

const table = z.strictObject({
  schema: z.string(),
  name: z.string(),
  columns: z.array(column).min(1),
  primaryKey: z.array(z.string()).min(1),
  foreignKeys: z.array(foreignKey),
  rows: z.int().positive(),
});

const domain = z.strictObject({ schema: z.string(), name: z.string(), type: z.string(), notNull: z.boolean() });

const catalogueSchema = z.strictObject({
  about: z.string(),
  extensions: z.array(z.string()),
  domains: z.array(domain),
  tables: z.array(table),
  views: z.array(z.string()),
  materializedViews: z.array(z.string()),
  departments: z.array(z.strictObject({ departmentid: z.int(), name: z.string(), groupname: z.string() })),
});

export type Catalogue = z.infer<typeof catalogueSchema>;
export type Table = Catalogue["tables"][number];

/** The objects of AdventureWorks. @throws ZodError if catalogue.json has another shape */
export const catalogue: Catalogue = catalogueSchema.parse(
  JSON.parse(readFileSync(join(__dirname, "catalogue.json"), "utf8")),
);

/** A table's name as the catalogue spells it: "schema.table", unquoted. */
export function nameOf(table: Table): string {
  return `${table.schema}.${table.name}`;
}
