import { userSchemas } from "../../postgres/catalogue-filters.js";
import type { Client } from "pg";
import { callsWritten } from "../../postgres/called-functions.js";
import { defaultExpression } from "../../postgres/default-expression.js";
import { qualify, quoteIdentifier, quoteLiteral } from "../../postgres/identifiers.js";
import { serverVersion } from "../../postgres/server-version.js";
import type { Column, Table } from "../../postgres/tables.js";
import type { ChangeRule } from "../../schema/catalogue/change-rule.js";
import { columnRules, defaultRules, generatedColumnRules } from "../../schema/catalogue/kinds/relations/columns.js";
import type { InheritanceDrift } from "./inheritance-drift.js";
import type { PairedTables, Shapes } from "./compared-schemas.js";
import { type FollowedByOid, inOrder, namesOnTarget } from "./followed-parts.js";
import type { ColumnOrdinals } from "./schema-baseline.js";
import type { SchemaChange } from "./schema-change.js";
import { type TypeDrift, typeOf } from "./type-drift.js";
import { isOfSameType } from "./typed-tables.js";

export interface ColumnDrift {
  readonly changes: SchemaChange[];
  /** Tables that have lost a column on the target since it was copied, qualified and quoted. Its values are lost. */
  readonly tablesWithLostColumns: Set<string>;
}

interface KnownDrift {
  readonly types: TypeDrift;
  readonly inheritance: InheritanceDrift;
  readonly places: ColumnOrdinals;
  readonly placesOnTarget: ColumnOrdinals;
  readonly followed: FollowedByOid;
}

/** Compares the columns of the tables that both sides have. */
export async function readColumnDrift(
  { source, target, mark, outdated, schemaChanges }: Shapes,
  { onTarget, onSource, pairs }: PairedTables,
  { types: { typeOnTarget }, inheritance: { detached, parents }, places, placesOnTarget, followed }: KnownDrift,
): Promise<ColumnDrift> {
  const comparison = {
    facts: await columnFacts(source),
    namesOnTarget: ({ oid }: Table, { oid: copy }: Table) =>
      namesOnTarget(followed[oid] ?? { copy, parts: [] }, places[oid] ?? [], placesOnTarget[copy] ?? []),
    isBaselined: ({ oid }: Table) => mark?.columns?.[oid] !== undefined,
    wasGiven: ({ oid }: Table, column: string) => {
      const place = places[oid]?.indexOf(column) ?? -1;
      return (
        typeof followed[oid]?.parts[place] === "number" || (mark?.columns?.[String(oid)]?.[place] ?? null) !== null
      );
    },
    typeOnTarget,
    targetVersion: await serverVersion(target),
    runsDefaults: (name: string, { callsWritten }: ColumnFact) =>
      schemaChanges === "pause" || (outdated.has(name) && !callsWritten),
    detached,
    inherited: (name: string) => ({
      onSource: columnsOf(parents.get(name) ?? [], onSource),
      onTarget: columnsOf(parents.get(name) ?? [], onTarget),
    }),
  };
  const drift: ColumnDrift = { changes: [], tablesWithLostColumns: new Set() };
  for (const { table, targetTable } of pairs) compareColumns(table, targetTable, comparison, drift);
  return drift;
}

const columnsOf = (names: readonly string[], tables: ReadonlyMap<string, Table>): ReadonlySet<string> =>
  new Set(names.flatMap((name) => tables.get(name)?.columns ?? []).map(({ name }) => name));

interface ColumnFact {
  readonly defaultExpression: string | null;
  /** The value of rows that are older than the column. The catalogue stores it from PostgreSQL 11 on. */
  readonly missingValue: string | null;
  /** Whether the column has its domain's default, and whether the domain refuses NULL. */
  readonly hasDomainDefault: boolean;
  readonly isNotNullDomain: boolean;
  /** Whether the default calls a function with a body written by a user. */
  readonly callsWritten: boolean;
}

interface Comparison {
  /** By schema, table and column. */
  readonly facts: ReadonlyMap<string, ColumnFact>;
  /** The names on the target of the columns that it has, by the names on the source. */
  readonly namesOnTarget: (table: Table, targetTable: Table) => ReadonlyMap<string, string>;
  readonly isBaselined: (table: Table) => boolean;
  /** Whether the target was given this column. */
  readonly wasGiven: (table: Table, column: string) => boolean;
  readonly typeOnTarget: (type: string) => string;
  readonly targetVersion: number;
  /**
   * Whether a new column's default may run for the target's earlier rows. They are copied again, or do not have it on the source.
   * Code of users must not run with the privileges of the migration's role.
   */
  readonly runsDefaults: (table: string, fact: ColumnFact) => boolean;
  /** Partitions that the additions detach. */
  readonly detached: ReadonlySet<string>;
  /** The columns that a table inherits on either side. A statement for the parent also alters the child. */
  readonly inherited: (table: string) => {
    readonly onSource: ReadonlySet<string>;
    readonly onTarget: ReadonlySet<string>;
  };
}

function compareColumns(
  table: Table,
  targetTable: Table,
  {
    facts,
    namesOnTarget: namesOf,
    isBaselined,
    wasGiven,
    typeOnTarget,
    targetVersion,
    runsDefaults,
    detached,
    inherited,
  }: Comparison,
  { changes, tablesWithLostColumns }: ColumnDrift,
): void {
  const name = qualify(table.schema, table.name);
  const change = (rule: ChangeRule, sql: string): void => void changes.push({ rule, tables: [name], sql });
  const sameType = (column: Column, other: Column): boolean => typeOf(typeOnTarget(column.type)) === typeOf(other.type);
  const renames = renamedColumns(table, targetTable, {
    names: namesOf(table, targetTable),
    isBaselined: isBaselined(table),
    sameType,
  });
  const [formerNames, newNames] = [new Set(renames.keys()), new Set(renames.values())];
  const has = (columns: readonly Column[], name: string): boolean => columns.some((column) => column.name === name);
  const added = table.columns.filter((column) => !newNames.has(column.name) && !has(targetTable.columns, column.name));
  const removed = targetTable.columns.filter(
    (column) => !formerNames.has(column.name) && (newNames.has(column.name) || !has(table.columns, column.name)),
  );
  // A partition gets its columns from its parent, and a typed table from its type.
  const isAttached =
    (table.partitionOf !== undefined && targetTable.partitionOf !== undefined && !detached.has(name)) ||
    isOfSameType(table, targetTable, typeOnTarget);
  const { onSource, onTarget } = inherited(name);
  const drop = (columns: readonly Column[]): void => {
    for (const column of isAttached ? [] : columns.filter((one) => !onTarget.has(one.name)))
      change(
        columnRules.dropped,
        `ALTER TABLE ${name} DROP COLUMN ${quoteIdentifier(column.name)} /* deletes the values of this column on the target */`,
      );
  };
  // A column has to be dropped before another one gets its name.
  drop(removed.filter((column) => newNames.has(column.name)));
  const own = [...renames].filter(([from]) => !isAttached && !onTarget.has(from));
  for (const sql of inOrder(own, (from, to) => renameColumn(name, from, to))) change(columnRules.renamed, sql);
  drop(removed.filter((column) => !newNames.has(column.name)));
  const lost = added.filter((column) => !column.generated && wasGiven(table, column.name));
  if (lost.length > 0 && !table.partitioned) tablesWithLostColumns.add(name);
  for (const column of table.columns) {
    const other = targetTable.columns.find((one) => one.name === column.name);
    if (!other || newNames.has(column.name) || formerNames.has(column.name)) continue;
    const alter = `ALTER TABLE ${name} ALTER COLUMN ${quoteIdentifier(column.name)}`;
    const isInherited = onTarget.has(column.name) && onSource.has(column.name);
    // The server recomputes a generated column, and accepts no USING clause for it.
    const conversion = other.generated ? "" : ` USING ${quoteIdentifier(column.name)}::${column.type}`;
    if (!isAttached && !isInherited && !sameType(column, other))
      changes.push({
        ...{ rule: columnRules.retyped, tables: [name], sql: `${alter} TYPE ${column.type}${conversion}` },
        converts: { from: other.type, to: typeOnTarget(column.type), ruleOfUsers: columnRules.retypedByUsers },
      });
    if (!isAttached && other.generated && !column.generated)
      change(generatedColumnRules.dropped, `${alter} DROP EXPRESSION`);
    if (other.notNull && !column.notNull && !targetTable.primaryKey.includes(column.name))
      change(columnRules.nullable, `${alter} DROP NOT NULL`);
  }
  // Last: the server refuses to change the type of a column that a generated column needs.
  for (const column of isAttached ? [] : added.filter((one) => !onSource.has(one.name))) {
    if (lost.includes(column) && column.identity === undefined) {
      change(columnRules.lost, addStatement(name, column));
      continue;
    }
    const fact = facts.get(JSON.stringify([table.oid, column.name]));
    const apart = fact && !runsDefaults(name, fact) ? addedWithoutDefault(table, column, fact) : undefined;
    for (const [rule, sql] of apart ?? addedColumn(table, column, fact, targetVersion)) change(rule, sql);
  }
}

const renameColumn = (table: string, from: string, to: string): string =>
  `ALTER TABLE ${table} RENAME COLUMN ${quoteIdentifier(from)} TO ${quoteIdentifier(to)}`;

const addStatement = (table: string, column: Column): string =>
  `ALTER TABLE ${table} ADD COLUMN ${quoteIdentifier(column.name)} ${column.type}`;

/** The catalogue may have the value of all older rows. */
function addedColumn(
  { schema, name: table }: Table,
  column: Column,
  fact: ColumnFact | undefined,
  targetVersion: number,
): (readonly [ChangeRule, string])[] {
  const name = qualify(schema, table);
  const sql = addStatement(name, column);
  const missing = fact?.missingValue ?? null;
  const expression = fact?.defaultExpression ?? null;
  const isPlain = !column.generated && column.identity === undefined;
  if (!isPlain || (missing === null && (column.notNull || expression !== null)))
    return [[columnRules.addedComputed, `${sql}${clauses(column, fact, targetVersion)}`]];
  if (missing === null) return [[columnRules.added, sql]];
  const filled = `${sql} DEFAULT ${quoteLiteral(missing)}${column.notNull ? " NOT NULL" : ""}`;
  const alter = `ALTER TABLE ONLY ${name} ALTER COLUMN ${quoteIdentifier(column.name)}`;
  return [
    [columnRules.addedWithValue, filled],
    expression === null
      ? [defaultRules.dropped, `${alter} DROP DEFAULT`]
      : [defaultRules.set, `${alter} SET DEFAULT ${expression}`],
  ];
}

/**
 * Adds the column without its default, which follows. Undefined if no earlier row of the target would get a computed value.
 */
function addedWithoutDefault(
  { schema, name: table }: Table,
  column: Column,
  { defaultExpression: expression, missingValue, hasDomainDefault, isNotNullDomain }: ColumnFact,
): (readonly [ChangeRule, string])[] | undefined {
  if (column.generated || column.identity !== undefined || missingValue !== null) return undefined;
  const name = qualify(schema, table);
  const alter = `ALTER COLUMN ${quoteIdentifier(column.name)}`;
  const sql = addStatement(name, column);
  if (isNotNullDomain)
    return [[columnRules.addedOfNotNullDomain, `${sql}${expression === null ? "" : ` DEFAULT ${expression}`}`]];
  // DEFAULT NULL replaces the default of a domain, and remains until it is dropped.
  return [
    [columnRules.addedWithoutDefault, `${sql}${hasDomainDefault ? " DEFAULT NULL" : ""}`],
    expression === null
      ? [defaultRules.dropped, `ALTER TABLE ONLY ${name} ${alter} DROP DEFAULT`]
      : [defaultRules.set, `ALTER TABLE ONLY ${name} ${alter} SET DEFAULT ${expression}`],
    ...(column.notNull ? [[columnRules.notNull, `ALTER TABLE ${name} ${alter} SET NOT NULL`] as const] : []),
  ];
}

/**
 * The new names of renamed columns, by their names on the target. If the source's columns were not recorded, one removed and
 * one added column of the same type are taken for one column.
 */
function renamedColumns(
  table: Table,
  targetTable: Table,
  known: {
    readonly names: ReadonlyMap<string, string>;
    readonly isBaselined: boolean;
    readonly sameType: (column: Column, other: Column) => boolean;
  },
): ReadonlyMap<string, string> {
  const { names, isBaselined, sameType } = known;
  const renames = [...names].flatMap(([name, former]): [string, string][] => (name === former ? [] : [[former, name]]));
  if (isBaselined || renames.length > 0) return new Map(renames);
  const added = table.columns.filter(({ name }) => !targetTable.columns.some((other) => other.name === name));
  const removed = targetTable.columns.filter(({ name }) => !table.columns.some((other) => other.name === name));
  const isSingle = removed.length === 1 && added.length === 1 && sameType(added[0]!, removed[0]!);
  return new Map(isSingle ? [[removed[0]!.name, added[0]!.name]] : []);
}

function clauses(column: Column, fact: ColumnFact | undefined, targetVersion: number): string {
  const expression = fact?.defaultExpression ?? null;
  const nullability = column.notNull ? " NOT NULL" : "";
  const stored = column.generated === "virtual" && targetVersion >= 180000 ? "VIRTUAL" : "STORED";
  if (column.generated) return ` GENERATED ALWAYS AS (${expression ?? ""}) ${stored}`;
  if (column.identity) return ` GENERATED ${column.identity === "always" ? "ALWAYS" : "BY DEFAULT"} AS IDENTITY`;
  return `${expression === null ? "" : ` DEFAULT ${expression}`}${nullability}`;
}

async function columnFacts(source: Client): Promise<Map<string, ColumnFact>> {
  const version = await serverVersion(source);
  // A partitioned table has no rows, and therefore no such value. Its partitions have it.
  const missing =
    version >= 110000
      ? `(WITH RECURSIVE family AS (
            SELECT a.attrelid AS oid
            UNION SELECT h.inhrelid FROM family f JOIN pg_inherits h ON h.inhparent = f.oid WHERE c.relkind = 'p')
          SELECT (m.attmissingval::text::text[])[1] FROM family f JOIN pg_attribute m ON m.attrelid = f.oid
           WHERE m.attname = a.attname AND m.atthasmissing ORDER BY f.oid LIMIT 1)`
      : "NULL::text";
  const hasDomainDefault = "(d.oid IS NULL AND t.typtype = 'd' AND t.typdefaultbin IS NOT NULL)";
  // A domain has the default of the domain that it is based on, but not its NOT NULL.
  const refusesNull = `(
    WITH RECURSIVE domain AS (
      SELECT t.typnotnull, t.typbasetype
      UNION ALL SELECT b.typnotnull, b.typbasetype FROM domain JOIN pg_type b ON b.oid = domain.typbasetype AND b.typtype = 'd')
    SELECT bool_or(typnotnull) FROM domain)`;
  const { rows } = await source.query<{ table: string; column: string } & ColumnFact>(
    `SELECT a.attrelid::int8 AS table, a.attname AS column,
            ${defaultExpression(version)} AS "defaultExpression", ${missing} AS "missingValue",
            ${hasDomainDefault} AS "hasDomainDefault", t.typtype = 'd' AND ${refusesNull} AS "isNotNullDomain",
            ${callsWritten("d.adbin")} OR ${hasDomainDefault} AND ${callsWritten("t.typdefaultbin")} AS "callsWritten"
       FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
       JOIN pg_type t ON t.oid = a.atttypid
       JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND ${userSchemas("n")} AND a.attnum > 0
        -- Rows older than a column have its first default, even if the column no longer has a default.
        AND (d.oid IS NOT NULL OR ${hasDomainDefault}${version >= 110000 ? " OR a.atthasmissing OR c.relkind = 'p'" : ""})`,
  );
  return new Map(rows.map((row) => [JSON.stringify([Number(row.table), row.column]), row]));
}
