import type { PairedTables, Shapes } from "./compared-schemas.js";
import type { ManualChange } from "./manual-change.js";
import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import type { Table } from "../../postgres/tables.js";
import { readColumnDrift } from "./column-drift.js";
import { type InheritanceDrift, readInheritanceDrift } from "./inheritance-drift.js";
import { type DeferredStatement, readDeferredColumns } from "./deferred-columns.js";
import { readRenamedSchemas } from "./renamed-schemas.js";
import { readRuleDrift } from "./rule-drift.js";
import { readSequenceDrift } from "./sequence-drift.js";
import { type ColumnOrdinals, readColumnOrdinals } from "./schema-baseline.js";
import { readTypeDrift } from "./type-drift.js";
import { typedTableDrift } from "./typed-tables.js";

/** What the source's tables have become while they are followed, in terms of what the target needs. */
export interface SchemaDrift {
  /** Tables that the target lacks. */
  readonly newTables: readonly Table[];
  /** Statements that leave the changes of the older shape applicable. */
  readonly additions: readonly string[];
  /** The first of them, which let tables stand for themselves: what else they need can only be read and run behind that. */
  readonly releases: readonly string[];
  /**
   * Statements that the target's own writers will need, and that refuse nothing once all that was written before is
   * applied.
   */
  readonly late: readonly string[];
  /**
   * Statements that compute all rows anew of tables that are copied anew: their copies, and what the stream tells from
   * then on, need it.
   */
  readonly beforeCopies: readonly string[];
  /** Statements that somebody has to decide on: what they do cannot be told from the catalogue with certainty. */
  readonly byHand: readonly ManualChange[];
  /** Tables that have lost a column on the target by somebody's hand, qualified and quoted: they have to be copied anew. */
  readonly bereft: ReadonlySet<string>;
  /** Types that the target has under another name, qualified and quoted: additions rename them. */
  readonly renamedTypes: ReadonlySet<string>;
  /** A schema's new name waits for somebody: until then nothing can be made in it. */
  readonly awaitsSchema: boolean;
}

const nameOf = ({ schema, name }: Pick<Table, "schema" | "name">): string => qualify(schema, name);

export async function readDrift(shapes: Shapes): Promise<SchemaDrift> {
  const { source, target, mark } = shapes;
  const given = mark?.given;
  const schemas = await readRenamedSchemas(source, target, given?.schemas);
  const schemaOnTarget = (schema: string): string => schemas.get(schema) ?? schema;
  const tables = pairTables(shapes, schemas);
  const { sourceTables, here, there, gone, renamed, pairs } = tables;
  const sides = { source, target, schemaOnTarget, hasTable: (name: string) => here.has(name) && there.has(name) };
  const types = await readTypeDrift({ ...sides, before: given?.types });
  const inheritance = await readInheritanceDrift({ ...sides, before: given?.bounds });
  const rules = await readRuleDrift({ ...sides, nowCalled: types.nowCalled, before: given?.rules });
  const typed = typedTableDrift(pairs, types.typeOnTarget);
  const places = await readColumnOrdinals(source);
  const columns = await readColumnDrift(shapes, tables, types, inheritance, places);
  const computed = await readComputedColumns(shapes, pairs, places);
  const releases = [...inheritance.additions, ...typed.releases];
  const byHand = [
    ...gone.map((table) => ({
      tables: [nameOf(renamed.get(table) ?? table)],
      sql: goneStatement(table, renamed.get(table)),
    })),
    ...types.byHand,
    ...rules.byHand,
    ...columns.byHand,
    // Last: the statements before it use the schema's former name.
    ...[...schemas].map(([now, former]) => renameSchema(former, now, shapes.sourceTables)),
  ];
  return {
    newTables: tables.newTables,
    releases,
    additions: [...releases, ...types.additions, ...rules.additions, ...columns.additions],
    byHand: byHand.map((decision) => withChildren(decision, sourceTables, inheritance)),
    late: [
      ...columns.late,
      ...types.late,
      ...inheritance.late,
      ...typed.late,
      ...rules.late,
      ...computed.late,
      ...(await readSequenceDrift(source, target, schemaOnTarget)),
    ],
    beforeCopies: computed.beforeCopies,
    bereft: columns.bereft,
    renamedTypes: types.renamed,
    awaitsSchema: schemas.size > 0,
  };
}

/** @param schemas what the target still calls schemas that the source has renamed */
function pairTables(shapes: Shapes, schemas: ReadonlyMap<string, string>): PairedTables {
  const { targetTables, followed } = shapes;
  const sourceTables = shapes.sourceTables.map((table) => asOnTarget(table, schemas));
  const here = new Map(targetTables.map((table) => [nameOf(table), table]));
  const there = new Map(sourceTables.map((table) => [nameOf(table), table]));
  const originals = new Map(Object.entries(followed).map(([original, copy]) => [copy, Number(original)]));
  const gone = targetTables.filter((table) => originals.has(table.oid) && !there.has(nameOf(table)));
  const unknown = new Map(sourceTables.filter((table) => !here.has(nameOf(table))).map((table) => [table.oid, table]));
  const renamed = new Map(
    gone.flatMap((copy) => {
      const original = unknown.get(originals.get(copy.oid)!);
      return original ? [[copy, original] as const] : [];
    }),
  );
  const isRenamed = new Set(renamed.values());
  const newTables = shapes.sourceTables.filter(
    (table) => !schemas.has(table.schema) && !here.has(nameOf(table)) && !isRenamed.has(table),
  );
  const pairs = sourceTables.flatMap((table) => {
    const twin = here.get(nameOf(table));
    return twin ? [{ table, twin }] : [];
  });
  return { sourceTables, here, there, pairs, newTables, gone, renamed };
}

/** What computes columns, apart where rows are copied anew. */
async function readComputedColumns(
  { source, target, mark, outdated }: Shapes,
  pairs: PairedTables["pairs"],
  places: ColumnOrdinals,
): Promise<Pick<SchemaDrift, "late" | "beforeCopies">> {
  const isMadeAnew = ({ oid }: Table, column: string): boolean => {
    const place = mark?.columns?.[String(oid)]?.indexOf(column) ?? -1;
    return place >= 0 && places[String(oid)]?.[place] !== column;
  };
  const statements = await readDeferredColumns({ source, target, pairs, before: mark?.given?.defaults, isMadeAnew });
  const precedesCopy = ({ computesAnew }: DeferredStatement): boolean =>
    computesAnew !== undefined && outdated.has(computesAnew);
  return {
    late: statements.filter((one) => !precedesCopy(one)).map(({ sql }) => sql),
    beforeCopies: statements.filter(precedesCopy).map(({ sql }) => sql),
  };
}

/** Their changes come by their own names, and wait for what is decided on their parents. */
function withChildren(
  { tables, sql }: ManualChange,
  all: readonly Table[],
  { parents }: InheritanceDrift,
): ManualChange {
  const wanted = new Set(tables);
  const isChild = (table: Table): boolean =>
    (table.partitionOf !== undefined && wanted.has(nameOf(table.partitionOf))) ||
    (parents.get(nameOf(table)) ?? []).some((parent) => wanted.has(parent));
  for (let size = 0; size < wanted.size;) {
    size = wanted.size;
    for (const table of all) if (isChild(table)) wanted.add(nameOf(table));
  }
  return { tables: [...wanted], sql };
}

function asOnTarget(table: Table, schemas: ReadonlyMap<string, string>): Table {
  const schema = schemas.get(table.schema);
  return schema === undefined ? table : { ...table, schema };
}

const renameSchema = (from: string, to: string, tables: readonly Table[]): ManualChange => ({
  tables: tables.filter(({ schema }) => schema === to).map(nameOf),
  sql: `ALTER SCHEMA ${quoteIdentifier(from)} RENAME TO ${quoteIdentifier(to)}`,
});

function goneStatement(table: Table, renamed: Table | undefined): string {
  const name = nameOf(table);
  if (!renamed) return `DROP TABLE ${name}`;
  if (renamed.schema !== table.schema) return `ALTER TABLE ${name} SET SCHEMA ${quoteIdentifier(renamed.schema)}`;
  return `ALTER TABLE ${name} RENAME TO ${quoteIdentifier(renamed.name)}`;
}
