import type { Client } from "pg";
import type { Counterparts, PairedTables, Shapes } from "./compared-schemas.js";
import { conversionsByUsers } from "../../postgres/users-casts.js";
import { qualify, quoteIdentifier, type RelationName, temporaryName } from "../../postgres/identifiers.js";
import { renameStatements } from "../../schema/catalogue/definitions.js";
import type { ChangeAction } from "../../schema/catalogue/change-rule.js";
import { schemaRules } from "../../schema/catalogue/kinds/schemas.js";
import { checkRules } from "../../schema/catalogue/kinds/relations/constraints.js";
import { tableRules } from "../../schema/catalogue/kinds/relations/tables.js";
import type { Table } from "../../postgres/tables.js";
import { readColumnDrift } from "./column-drift.js";
import { type InheritanceDrift, readInheritanceDrift } from "./inheritance-drift.js";
import { readDeferredColumns } from "./deferred-columns.js";
import { noSchema, readRenamedSchemas } from "./renamed-schemas.js";
import { readRuleDrift } from "./rule-drift.js";
import { readSequenceDrift } from "./sequence-drift.js";
import { type ColumnOrdinals, readColumnOrdinals } from "./schema-baseline.js";
import type { PausingChange, SchemaChange } from "./schema-change.js";
import { type FollowedByOid, inOrder, pairColumnsOrAttributes } from "./followed-parts.js";
import { keepDropped } from "./kept-tables.js";
import { readTypeDrift } from "./type-drift.js";
import { typedTableDrift } from "./typed-tables.js";

/** The changes of the source's tables while they are followed, as statements for the target in the order of the rule table's actions. */
export interface SchemaDrift {
  /** Tables that the target lacks. */
  readonly newTables: readonly Table[];
  /** `before`: the target then still accepts changes of the former table definitions. */
  readonly additions: readonly string[];
  /** The first of the additions. They detach tables; other changes of these tables can only be read and run afterwards. */
  readonly releases: readonly string[];
  /** `after`: they run after all earlier changes are applied, because these changes could violate them. */
  readonly deferred: readonly string[];
  /** Statements that recompute columns of tables that are copied again. They run before the copy. */
  readonly beforeCopies: readonly string[];
  /** `at` and `pause`: the stream pauses for them. */
  readonly pausing: readonly PausingChange[];
  /** Tables that have lost a column on the target, qualified and quoted. They are copied again. */
  readonly tablesWithLostColumns: ReadonlySet<string>;
  /** Types that the target has under another name, qualified and quoted. The additions rename them. */
  readonly renamedTypes: ReadonlySet<string>;
  /** The source's schemas that wait until a schema of the target is renamed. Until then nothing can be created in them. */
  readonly awaitedSchemas: ReadonlySet<string>;
  /** To be recorded before the target is changed. */
  readonly counterparts: Counterparts;
}

const nameOf = ({ schema, name }: Pick<Table, "schema" | "name">): string => qualify(schema, name);

export async function readDrift(shapes: Shapes): Promise<SchemaDrift> {
  const { source, target, mark } = shapes;
  const given = mark?.given;
  const { renamed: schemas, followed: followedSchemas } = await readRenamedSchemas(source, target, {
    ...{ before: given?.schemas, known: shapes.followedSchemas },
  });
  const schemaOnTarget = (schema: string): string => schemas.get(schema) ?? schema;
  const tables = pairTables(shapes, schemas);
  const { sourceTables, onTarget, onSource, removed, renamed, pairs } = tables;
  const sides = {
    source,
    target,
    schemaOnTarget,
    hasTable: (name: string) => onTarget.has(name) && onSource.has(name),
  };
  const types = await readTypeDrift({ ...sides, before: given?.types, followed: shapes.followedTypes });
  const inheritance = await readInheritanceDrift({ ...sides, before: given?.bounds, names: mark?.names });
  const rules = await readRuleDrift({ ...sides, types, before: given?.rules, followed: shapes.followedRules });
  const typed = typedTableDrift(pairs, types.typeOnTarget);
  const places = await readColumnOrdinals(source);
  const placesOnTarget = await readColumnOrdinals(target);
  const followed = pairColumns(shapes, pairs, { places, placesOnTarget });
  const columns = await readColumnDrift(shapes, tables, { types, inheritance, places, placesOnTarget, followed });
  const computed = await readComputedColumns(shapes, pairs, places);
  const heirs = new Set(inheritance.changes.flatMap(({ tables: [heir] }) => heir ?? []));
  // A child gets the checks that its parent gets later. Its own checks come first.
  const followsInheritance = ({ rule, tables: [table = ""] }: SchemaChange): boolean =>
    rule === checkRules.created && !heirs.has(table);
  const releases = [...inheritance.releases, ...typed.releases];
  const changes = await withRulesOfUsers(target, [
    ...releases,
    // Before the renames: another table may take the name of a dropped one.
    ...withTakersOfNames(renamed, [
      ...(await keepDropped(
        target,
        removed.filter((table) => !renamed.has(table)),
      )),
      ...renameTables(renamed),
    ]),
    ...types.changes,
    // Before the columns: a key is dropped before its columns lose NOT NULL.
    ...rules.changes.filter((change) => !followsInheritance(change)),
    ...columns.changes,
    // The server refuses a child without the parent's NOT NULL and checks.
    ...computed,
    ...inheritance.changes,
    ...rules.changes.filter(followsInheritance),
    ...typed.changes,
    ...(await readSequenceDrift(source, target, schemaOnTarget)),
    // Last: the statements before it use the schema's former name.
    ...[...schemas].flatMap(([now, former]) =>
      former === noSchema ? [] : [renamedSchema(former, now, shapes.sourceTables)],
    ),
  ]);
  const precedesCopy = ({ recomputes }: SchemaChange): boolean =>
    recomputes !== undefined && shapes.outdated.has(recomputes);
  const actionOf = ({ rule: { action } }: SchemaChange): ChangeAction =>
    shapes.schemaChanges === "pause" && action !== "keep" ? "pause" : action;
  const by = (action: ChangeAction, all: readonly SchemaChange[] = changes): SchemaChange[] =>
    all.filter((change) => actionOf(change) === action);
  const pausing = changes.flatMap((change): PausingChange[] => {
    const action = actionOf(change);
    if (action !== "at" && action !== "pause") return [];
    return [{ ...withChildren(change, sourceTables, inheritance), runBy: action === "at" ? "worker" : "operator" }];
  });
  const statements = (all: readonly SchemaChange[]): string[] => all.map(({ sql }) => sql);
  return {
    newTables: tables.newTables,
    releases: statements(by("before", releases)),
    additions: statements(by("before")),
    pausing,
    deferred: statements(by("after").filter((change) => !precedesCopy(change))),
    beforeCopies: statements(by("after").filter(precedesCopy)),
    tablesWithLostColumns: columns.tablesWithLostColumns,
    renamedTypes: types.renamed,
    awaitedSchemas: new Set(schemas.keys()),
    counterparts: {
      ...{ followedColumns: followed, followedTypes: types.followed },
      ...{ followedRules: rules.followed, followedSchemas },
    },
  };
}

/** Code of users must not run with the privileges of the migration's role. */
async function withRulesOfUsers(target: Client, changes: readonly SchemaChange[]): Promise<readonly SchemaChange[]> {
  const byUsers = await conversionsByUsers(
    target,
    changes.flatMap(({ converts }) => converts ?? []),
  );
  return changes.map((change) =>
    change.converts && byUsers.has(change.converts) ? { ...change, rule: change.converts.ruleOfUsers } : change,
  );
}

/** @param schemas the target's names of schemas that were renamed on the source */
function pairTables(shapes: Shapes, schemas: ReadonlyMap<string, string>): PairedTables {
  const { targetTables, followed } = shapes;
  const sourceTables = shapes.sourceTables.map((table) => asOnTarget(table, schemas));
  const onSource = new Map(sourceTables.map((table) => [nameOf(table), table]));
  const originals = new Map(Object.entries(followed).map(([original, copy]) => [copy, Number(original)]));
  const names = new Map(sourceTables.map((table) => [table.oid, nameOf(table)]));
  const awaiting = new Set(sourceTables.filter(({ schema }) => schema === noSchema).map(({ oid }) => oid));
  const removed = targetTables.filter((table) => {
    const original = originals.get(table.oid);
    if (original === undefined || awaiting.has(original)) return false;
    // Another table may have the name now. The copy still belongs to its own original.
    return names.get(original) !== nameOf(table);
  });
  const isRemoved = new Set(removed);
  const onTarget = new Map(
    targetTables.filter((table) => !isRemoved.has(table)).map((table) => [nameOf(table), table]),
  );
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

/** The counterparts of a table are kept while it has another name on the target. */
function pairColumns(
  { mark, followedColumns }: Shapes,
  pairs: PairedTables["pairs"],
  { places, placesOnTarget }: { readonly places: ColumnOrdinals; readonly placesOnTarget: ColumnOrdinals },
): FollowedByOid {
  const known = Object.entries(followedColumns).filter(([oid]) => oid in places);
  const now = pairs.map(({ table: { oid }, targetTable: { oid: copy } }) => {
    const sides = { now: places[oid] ?? [], copy, onTarget: placesOnTarget[copy] ?? [] };
    return [String(oid), pairColumnsOrAttributes(followedColumns[oid], mark?.columns?.[oid], sides)] as const;
  });
  return Object.fromEntries([...known, ...now]);
}

/** Statements for defaults and generated columns. */
function readComputedColumns(
  { source, target, mark }: Shapes,
  pairs: PairedTables["pairs"],
  places: ColumnOrdinals,
): Promise<SchemaChange[]> {
  const isRecreated = ({ oid }: Table, column: string): boolean => {
    const place = mark?.columns?.[String(oid)]?.indexOf(column) ?? -1;
    return place >= 0 && places[String(oid)]?.[place] !== column;
  };
  return readDeferredColumns({ source, target, pairs, before: mark?.given?.defaults, isRecreated });
}

/** Adds child tables: the stream contains their changes under their own names, and these wait for the same statement. */
function withChildren(change: SchemaChange, all: readonly Table[], { parents }: InheritanceDrift): SchemaChange {
  const wanted = new Set(change.tables);
  const isChild = (table: Table): boolean =>
    (table.partitionOf !== undefined && wanted.has(nameOf(table.partitionOf))) ||
    (parents.get(nameOf(table)) ?? []).some((parent) => wanted.has(parent));
  for (let size = 0; size < wanted.size;) {
    size = wanted.size;
    for (const table of all) if (isChild(table)) wanted.add(nameOf(table));
  }
  return { ...change, tables: [...wanted] };
}

function asOnTarget(table: Table, schemas: ReadonlyMap<string, string>): Table {
  const schema = schemas.get(table.schema);
  return schema === undefined ? table : { ...table, schema };
}

const renamedSchema = (from: string, to: string, tables: readonly Table[]): SchemaChange => ({
  rule: schemaRules.renamed,
  tables: tables.filter(({ schema }) => schema === to).map(nameOf),
  sql: `ALTER SCHEMA ${quoteIdentifier(from)} RENAME TO ${quoteIdentifier(to)}`,
});

/**
 * Gives copies the names of their originals, in an order in which no name is used twice. Indexes and sequences move with a table
 * to another schema, and may have the same names. So a table that exchanges schemas waits in a schema of its own.
 */
function renameTables(renamed: PairedTables["renamed"]): SchemaChange[] {
  const changes: SchemaChange[] = [];
  const waiting = new Map<string, { copy: Table; from: RelationName; table: Table }>(
    [...renamed].map(([copy, table]) => [nameOf(copy), { copy, from: copy, table }]),
  );
  inOrder(
    [...waiting].map(([from, { table }]) => [from, nameOf(table)]),
    (place, destination) => {
      const { copy, from, table } = waiting.get(place)!;
      const isAside = destination !== nameOf(table);
      const to = isAside ? placeAside(copy, table) : table;
      if (isAside) waiting.set(destination, { copy, from: to, table });
      const statements = [
        ...(isAside && to.schema !== from.schema ? [`CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(to.schema)}`] : []),
        ...renameStatements("TABLE", from, to),
        ...(from.schema === asideSchema(copy) ? [`DROP SCHEMA ${quoteIdentifier(from.schema)}`] : []),
      ];
      const rule = from.schema === to.schema ? tableRules.renamed : tableRules.moved;
      changes.push({ rule, tables: [nameOf(table)], sql: statements.join("; ") });
      return place;
    },
  );
  return changes;
}

/** Adds the tables that take names which these statements free, because the stream of these tables waits for them, too. */
function withTakersOfNames(renamed: PairedTables["renamed"], changes: readonly SchemaChange[]): SchemaChange[] {
  const takers = new Map([...renamed].map(([copy, table]) => [nameOf(table), nameOf(copy)]));
  return changes.map((change) => {
    const tables = new Set(change.tables);
    // The set grows while it is read: another table may take the former name of a taker.
    for (const name of tables) {
      const formerName = takers.get(name);
      if (formerName !== undefined && takers.has(formerName)) tables.add(formerName);
    }
    return { ...change, tables: [...tables] };
  });
}

const asideSchema = ({ oid }: Table): string => `pgmigration_moved_${oid}`;

const placeAside = (copy: Table, { schema }: Table): RelationName =>
  schema === copy.schema ? { schema, name: temporaryName(copy.name) } : { schema: asideSchema(copy), name: copy.name };
