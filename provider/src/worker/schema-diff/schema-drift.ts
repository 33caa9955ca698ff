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

/** The changes of the source's tables while they are followed, as statements for the target. */
export interface SchemaDrift {
  /** Tables that the target lacks. */
  readonly newTables: readonly Table[];
  /** Statements after which the target still accepts changes of the former table definitions. */
  readonly additions: readonly string[];
  /** The first of the additions. They detach tables; other changes of these tables can only be read and run afterwards. */
  readonly releases: readonly string[];
  /** Statements that run after all earlier changes are applied, because these changes could violate them. */
  readonly deferred: readonly string[];
  /** Statements that recompute columns of tables that are copied again. They run before the copy. */
  readonly beforeCopies: readonly string[];
  /** Statements for the operator, because the catalogue does not determine their effect. */
  readonly manualChanges: readonly ManualChange[];
  /** Tables that have lost a column on the target, qualified and quoted. They are copied again. */
  readonly tablesWithLostColumns: ReadonlySet<string>;
  /** Types that the target has under another name, qualified and quoted. The additions rename them. */
  readonly renamedTypes: ReadonlySet<string>;
  /** Whether the operator has to rename a schema. Until then nothing can be created in it. */
  readonly awaitsSchema: boolean;
}

const nameOf = ({ schema, name }: Pick<Table, "schema" | "name">): string => qualify(schema, name);

export async function readDrift(shapes: Shapes): Promise<SchemaDrift> {
  const { source, target, mark } = shapes;
  const given = mark?.given;
  const schemas = await readRenamedSchemas(source, target, given?.schemas);
  const schemaOnTarget = (schema: string): string => schemas.get(schema) ?? schema;
  const tables = pairTables(shapes, schemas);
  const { sourceTables, onTarget, onSource, removed, renamed, pairs } = tables;
  const sides = {
    source,
    target,
    schemaOnTarget,
    hasTable: (name: string) => onTarget.has(name) && onSource.has(name),
  };
  const types = await readTypeDrift({ ...sides, before: given?.types });
  const inheritance = await readInheritanceDrift({ ...sides, before: given?.bounds });
  const rules = await readRuleDrift({ ...sides, types, before: given?.rules });
  const typed = typedTableDrift(pairs, types.typeOnTarget);
  const places = await readColumnOrdinals(source);
  const columns = await readColumnDrift(shapes, tables, { types, inheritance, places });
  const computed = await readComputedColumns(shapes, pairs, places);
  const releases = [...inheritance.additions, ...typed.releases];
  const manualChanges = [
    ...removed.map((table) => ({
      tables: [nameOf(renamed.get(table) ?? table)],
      sql: removalStatement(table, renamed.get(table)),
    })),
    ...types.manualChanges,
    ...rules.manualChanges,
    ...columns.manualChanges,
    // Last: the statements before it use the schema's former name.
    ...[...schemas].map(([now, former]) => renameSchema(former, now, shapes.sourceTables)),
  ];
  return {
    newTables: tables.newTables,
    releases,
    additions: [...releases, ...types.additions, ...rules.additions, ...columns.additions],
    manualChanges: manualChanges.map((decision) => withChildren(decision, sourceTables, inheritance)),
    deferred: [
      ...columns.deferred,
      ...types.deferred,
      ...inheritance.deferred,
      ...typed.deferred,
      ...rules.deferred,
      ...computed.deferred,
      ...(await readSequenceDrift(source, target, schemaOnTarget)),
    ],
    beforeCopies: computed.beforeCopies,
    tablesWithLostColumns: columns.tablesWithLostColumns,
    renamedTypes: types.renamed,
    awaitsSchema: schemas.size > 0,
  };
}

/** @param schemas the target's names of schemas that were renamed on the source */
function pairTables(shapes: Shapes, schemas: ReadonlyMap<string, string>): PairedTables {
  const { targetTables, followed } = shapes;
  const sourceTables = shapes.sourceTables.map((table) => asOnTarget(table, schemas));
  const onTarget = new Map(targetTables.map((table) => [nameOf(table), table]));
  const onSource = new Map(sourceTables.map((table) => [nameOf(table), table]));
  const originals = new Map(Object.entries(followed).map(([original, copy]) => [copy, Number(original)]));
  const removed = targetTables.filter((table) => originals.has(table.oid) && !onSource.has(nameOf(table)));
  const unknown = new Map(
    sourceTables.filter((table) => !onTarget.has(nameOf(table))).map((table) => [table.oid, table]),
  );
  const renamed = new Map(
    removed.flatMap((copy) => {
      const original = unknown.get(originals.get(copy.oid)!);
      return original ? [[copy, original] as const] : [];
    }),
  );
  const isRenamed = new Set(renamed.values());
  const newTables = shapes.sourceTables.filter(
    (table) => !schemas.has(table.schema) && !onTarget.has(nameOf(table)) && !isRenamed.has(table),
  );
  const pairs = sourceTables.flatMap((table) => {
    const targetTable = onTarget.get(nameOf(table));
    return targetTable ? [{ table, targetTable }] : [];
  });
  return { sourceTables, onTarget, onSource, pairs, newTables, removed, renamed };
}

/** Statements for defaults and generated columns. Those of tables that are copied again are separate. */
async function readComputedColumns(
  { source, target, mark, outdated }: Shapes,
  pairs: PairedTables["pairs"],
  places: ColumnOrdinals,
): Promise<Pick<SchemaDrift, "deferred" | "beforeCopies">> {
  const isMadeAnew = ({ oid }: Table, column: string): boolean => {
    const place = mark?.columns?.[String(oid)]?.indexOf(column) ?? -1;
    return place >= 0 && places[String(oid)]?.[place] !== column;
  };
  const statements = await readDeferredColumns({ source, target, pairs, before: mark?.given?.defaults, isMadeAnew });
  const precedesCopy = ({ recomputes }: DeferredStatement): boolean =>
    recomputes !== undefined && outdated.has(recomputes);
  return {
    deferred: statements.filter((one) => !precedesCopy(one)).map(({ sql }) => sql),
    beforeCopies: statements.filter(precedesCopy).map(({ sql }) => sql),
  };
}

/** Adds child tables: the stream contains their changes under their own names, and these wait for the same statement. */
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

function removalStatement(table: Table, renamed: Table | undefined): string {
  const name = nameOf(table);
  if (!renamed) return `DROP TABLE ${name}`;
  if (renamed.schema !== table.schema) return `ALTER TABLE ${name} SET SCHEMA ${quoteIdentifier(renamed.schema)}`;
  return `ALTER TABLE ${name} RENAME TO ${quoteIdentifier(renamed.name)}`;
}
