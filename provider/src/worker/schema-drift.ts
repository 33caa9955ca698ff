import type { Client } from "pg";
import { hasPublications } from "../cdc/publication.js";
import { qualify, quoteIdentifier, quoteLiteral } from "../postgres/identifiers.js";
import { defaultExpression } from "../postgres/default-expression.js";
import { serverVersion } from "../postgres/server-version.js";
import type { Column, Table } from "../postgres/tables.js";
import { type InheritanceDrift, readInheritanceDrift } from "./inheritance-drift.js";
import { type LateStatement, readLateColumns } from "./late-columns.js";
import { readRenamedSchemas } from "./renamed-schemas.js";
import { readRuleDrift } from "./rule-drift.js";
import { readSequenceDrift } from "./sequence-drift.js";
import { type ColumnPlaces, type SourceMark, readColumnPlaces } from "./source-mark.js";
import { readTypeDrift, typeOf } from "./type-drift.js";
import { isOfSameType, typedTableDrift } from "./typed-tables.js";

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
  readonly byHand: readonly Decision[];
  /** Types that the target has under another name, qualified and quoted: additions rename them. */
  readonly renamedTypes: ReadonlySet<string>;
  /** A schema's new name waits for somebody: until then nothing can be made in it. */
  readonly awaitsSchema: boolean;
}

export interface Decision {
  /** Whose changes cannot be applied before; qualified and quoted. */
  readonly tables: readonly string[];
  readonly sql: string;
}

export interface Shapes {
  readonly source: Client;
  readonly target: Client;
  /** The source's tables in scope, and those of the target. */
  readonly sourceTables: readonly Table[];
  readonly targetTables: readonly Table[];
  /** Qualified names of the tables that were followed until now. */
  readonly followed: ReadonlySet<string>;
  /** What the source was like when the target was made like it; undefined where nobody has noted it. */
  readonly mark: SourceMark | undefined;
  /** Qualified names of the tables that are copied anew. */
  readonly outdated: ReadonlySet<string>;
}

const nameOf = ({ schema, name }: Pick<Table, "schema" | "name">): string => qualify(schema, name);

export async function readDrift(shapes: Shapes): Promise<SchemaDrift> {
  const { source, target, targetTables, followed, mark, outdated } = shapes;
  const given = mark?.given;
  const schemas = await readRenamedSchemas(source, target, given?.schemas);
  const schemaOnTarget = (schema: string): string => schemas.get(schema) ?? schema;
  // As if their schemas had their former names still, until somebody has renamed these.
  const sourceTables = shapes.sourceTables.map((table) => asOnTarget(table, schemaOnTarget));
  const here = new Map(targetTables.map((table) => [nameOf(table), table]));
  const there = new Map(sourceTables.map((table) => [nameOf(table), table]));
  const gone = targetTables.filter((table) => followed.has(nameOf(table)) && !there.has(nameOf(table)));
  const unknown = sourceTables.filter((table) => !here.has(nameOf(table)));
  const renamed = new Map(gone.flatMap((table) => renamedTo(table, unknown, mark?.names)));
  const sides = { source, target, schemaOnTarget, hasTable: (name: string) => here.has(name) && there.has(name) };
  const types = await readTypeDrift({ ...sides, before: given?.types });
  const inheritance = await readInheritanceDrift({ ...sides, before: given?.bounds });
  const rules = await readRuleDrift({ ...sides, nowCalled: types.nowCalled, before: given?.rules });
  const pairs = sourceTables.flatMap((table) => {
    const twin = here.get(nameOf(table));
    return twin ? [{ table, twin }] : [];
  });
  const typed = typedTableDrift(pairs, types.typeOnTarget);
  const releases = [...inheritance.additions, ...typed.releases];
  const drift = {
    newTables: shapes.sourceTables.filter((table, place) => {
      const one = sourceTables[place]!;
      return !here.has(nameOf(one)) && ![...renamed.values()].includes(one) && !schemas.has(table.schema);
    }),
    releases,
    additions: [...releases, ...types.additions, ...rules.additions],
    byHand: [
      ...[...schemas].map(([now, former]) => renameSchema(former, now, shapes.sourceTables)),
      ...gone.map((table) => ({
        tables: [nameOf(renamed.get(table) ?? table)],
        sql: goneStatement(table, renamed.get(table)),
      })),
      ...types.byHand,
      ...rules.byHand,
    ],
    late: [] as string[],
    renamedTypes: types.renamed,
    awaitsSchema: schemas.size > 0,
  };
  const places = await readColumnPlaces(source);
  const comparison = {
    facts: await columnFacts(source),
    formerNames: formerColumnNames(mark?.columns, places),
    typeOnTarget: types.typeOnTarget,
    targetVersion: await serverVersion(target),
    detached: inheritance.detached,
    inherited: (name: string) => ({
      there: columnsOf(inheritance.parents.get(name) ?? [], there),
      here: columnsOf(inheritance.parents.get(name) ?? [], here),
    }),
  };
  for (const { table, twin } of pairs) compareColumns(table, twin, comparison, drift);
  const isMadeAnew = ({ oid }: Table, column: string): boolean => {
    const place = mark?.columns?.[String(oid)]?.indexOf(column) ?? -1;
    return place >= 0 && places[String(oid)]?.[place] !== column;
  };
  const lateColumns = await readLateColumns({ source, target, pairs, before: given?.defaults, isMadeAnew });
  const precedesCopy = ({ computesAnew }: LateStatement): boolean =>
    computesAnew !== undefined && outdated.has(computesAnew);
  const late = [
    ...drift.late,
    ...types.late,
    ...inheritance.late,
    ...typed.late,
    ...rules.late,
    ...lateColumns.filter((one) => !precedesCopy(one)).map(({ sql }) => sql),
    ...(await readSequenceDrift(source, target, schemaOnTarget)),
  ];
  const beforeCopies = lateColumns.filter(precedesCopy).map(({ sql }) => sql);
  const byHand = drift.byHand.map((decision) => withChildren(decision, sourceTables, inheritance));
  return { ...drift, late, beforeCopies, byHand };
}

/** Their changes come by their own names, and wait for what is decided on their parents. */
function withChildren({ tables, sql }: Decision, all: readonly Table[], { parents }: InheritanceDrift): Decision {
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

const columnsOf = (names: readonly string[], tables: ReadonlyMap<string, Table>): ReadonlySet<string> =>
  new Set(names.flatMap((name) => tables.get(name)?.columns ?? []).map(({ name }) => name));

function asOnTarget(table: Table, schemaOnTarget: (schema: string) => string): Table {
  const schema = schemaOnTarget(table.schema);
  return schema === table.schema ? table : { ...table, schema };
}

const renameSchema = (from: string, to: string, tables: readonly Table[]): Decision => ({
  tables: tables.filter(({ schema }) => schema === to).map(nameOf),
  sql: `ALTER SCHEMA ${quoteIdentifier(from)} RENAME TO ${quoteIdentifier(to)}`,
});

/** By a table's object identifier, what columns with other names now were called. */
function formerColumnNames(before: ColumnPlaces = {}, now: ColumnPlaces): ReadonlyMap<string, Map<string, string>> {
  const known = Object.entries(now).filter(([oid]) => before[oid] !== undefined);
  return new Map(
    known.map(([oid, names]) => [
      oid,
      new Map(
        names.flatMap((name, place): [string, string][] => {
          const former = before[oid]![place] ?? null;
          return name !== null && former !== null && former !== name ? [[name, former]] : [];
        }),
      ),
    ]),
  );
}

function renamedTo(table: Table, candidates: readonly Table[], formerNames: SourceMark["names"]): [Table, Table][] {
  // By its looks one table may pass for another, which made room for it.
  const itself = candidates.find(({ oid }) => formerNames?.[String(oid)] === nameOf(table));
  if (itself) return [[table, itself]];
  // A name does not change who it is: what was noted, and is nowhere any more, was dropped, whatever has come since.
  if (Object.values(formerNames ?? {}).includes(nameOf(table))) return [];
  const shape = ({ columns }: Table): string => JSON.stringify(columns.map(({ name, type }) => [name, type]));
  const same = candidates.filter(
    (candidate) =>
      candidate.columns.length > 0 &&
      formerNames?.[String(candidate.oid)] === undefined &&
      shape(candidate) === shape(table),
  );
  return same.length === 1 ? [[table, same[0]!]] : [];
}

function goneStatement(table: Table, renamed: Table | undefined): string {
  const name = nameOf(table);
  if (!renamed) return `DROP TABLE ${name}`;
  if (renamed.schema !== table.schema) return `ALTER TABLE ${name} SET SCHEMA ${quoteIdentifier(renamed.schema)}`;
  return `ALTER TABLE ${name} RENAME TO ${quoteIdentifier(renamed.name)}`;
}

interface ColumnFact {
  readonly defaultExpression: string | null;
  /** The value that rows have which are older than the column, kept by the catalogue since 11. */
  readonly missingValue: string | null;
}

interface Comparison {
  /** By schema, table and column. */
  readonly facts: ReadonlyMap<string, ColumnFact>;
  readonly formerNames: ReadonlyMap<string, ReadonlyMap<string, string>>;
  readonly typeOnTarget: (type: string) => string;
  readonly targetVersion: number;
  /** Partitions that stand for themselves once the additions have run. */
  readonly detached: ReadonlySet<string>;
  /**
   * The columns that a table, and its twin here, has from parents that both have: what is done to a parent's is done to
   * its heirs'.
   */
  readonly inherited: (table: string) => { readonly there: ReadonlySet<string>; readonly here: ReadonlySet<string> };
}

interface Changes {
  readonly additions: string[];
  readonly late: string[];
  readonly byHand: Decision[];
}

function compareColumns(
  table: Table,
  twin: Table,
  { facts, formerNames, typeOnTarget, targetVersion, detached, inherited }: Comparison,
  { additions, late, byHand }: Changes,
): void {
  const name = nameOf(table);
  const decide = (sql: string): void => void byHand.push({ tables: [name], sql });
  const sameType = (column: Column, other: Column): boolean => typeOf(typeOnTarget(column.type)) === typeOf(other.type);
  const added = table.columns.filter((column) => !twin.columns.some((other) => other.name === column.name));
  const gone = twin.columns.filter((column) => !table.columns.some((other) => other.name === column.name));
  // A partition gets its columns from its parent, and keeps them as that; a typed table from its type.
  const isAttached =
    (table.partitionOf !== undefined && twin.partitionOf !== undefined && !detached.has(name)) ||
    isOfSameType(table, twin, typeOnTarget);
  const { there, here } = inherited(name);
  for (const [from, to] of renamedColumns(gone, added, { formerNames: formerNames.get(String(table.oid)), sameType })) {
    gone.splice(gone.indexOf(from), 1);
    added.splice(added.indexOf(to), 1);
    if (!isAttached && !here.has(from.name))
      decide(`ALTER TABLE ${name} RENAME COLUMN ${quoteIdentifier(from.name)} TO ${quoteIdentifier(to.name)}`);
  }
  for (const column of isAttached ? [] : gone.filter((one) => !here.has(one.name)))
    decide(`ALTER TABLE ${name} DROP COLUMN ${quoteIdentifier(column.name)}`);
  for (const column of isAttached ? [] : added.filter((one) => !there.has(one.name))) {
    const fact = facts.get(JSON.stringify([table.oid, column.name]));
    const sql = `ALTER TABLE ${name} ADD COLUMN ${quoteIdentifier(column.name)} ${column.type}`;
    const missing = fact?.missingValue ?? null;
    const isPlain = !column.generated && column.identity === undefined;
    if (!isPlain || (missing === null && (column.notNull || (fact?.defaultExpression ?? null) !== null))) {
      decide(`${sql}${clauses(column, fact, targetVersion)}`);
      continue;
    }
    const filled = missing === null ? "" : ` DEFAULT ${quoteLiteral(missing)}${column.notNull ? " NOT NULL" : ""}`;
    additions.push(`${sql}${filled}`);
    const expression = fact?.defaultExpression ?? null;
    const alter = `ALTER TABLE ONLY ${name} ALTER COLUMN ${quoteIdentifier(column.name)}`;
    if (missing !== null)
      late.push(expression === null ? `${alter} DROP DEFAULT` : `${alter} SET DEFAULT ${expression}`);
  }
  for (const column of table.columns) {
    const other = twin.columns.find((one) => one.name === column.name);
    if (!other) continue;
    const alter = `ALTER TABLE ${name} ALTER COLUMN ${quoteIdentifier(column.name)}`;
    const isInherited = here.has(column.name) && there.has(column.name);
    // What a generated column holds is computed anew, and may not be told how to be converted.
    const conversion = other.generated ? "" : ` USING ${quoteIdentifier(column.name)}::${column.type}`;
    if (!isAttached && !isInherited && !sameType(column, other)) decide(`${alter} TYPE ${column.type}${conversion}`);
    if (!isAttached && other.generated && !column.generated) decide(`${alter} DROP EXPRESSION`);
    if (other.notNull && !column.notNull && !twin.primaryKey.includes(column.name))
      additions.push(`${alter} DROP NOT NULL`);
  }
}

/**
 * A column's place tells; where nobody has noted it, one that went and one that came, of one type, are taken for the
 * same.
 */
function renamedColumns(
  gone: readonly Column[],
  added: readonly Column[],
  known: {
    readonly formerNames: ReadonlyMap<string, string> | undefined;
    readonly sameType: (column: Column, other: Column) => boolean;
  },
): [Column, Column][] {
  const { formerNames, sameType } = known;
  const isSingle = gone.length === 1 && added.length === 1 && sameType(added[0]!, gone[0]!);
  if (!formerNames) return isSingle ? [[gone[0]!, added[0]!]] : [];
  return added.flatMap((column): [Column, Column][] => {
    const from = gone.find(({ name }) => name === formerNames.get(column.name));
    return from ? [[from, column]] : [];
  });
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
  const missing =
    version >= 110000 ? "CASE WHEN a.atthasmissing THEN (a.attmissingval::text::text[])[1] END" : "NULL::text";
  const { rows } = await source.query<{ table: string; column: string } & ColumnFact>(
    `SELECT a.attrelid::int8 AS table, a.attname AS column,
            ${defaultExpression(version)} AS "defaultExpression", ${missing} AS "missingValue"
       FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
       JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        -- Rows older than a column have its first default, also when it has none any more.
        AND (d.oid IS NOT NULL${version >= 110000 ? " OR a.atthasmissing" : ""})`,
  );
  return new Map(rows.map((row) => [JSON.stringify([Number(row.table), row.column]), row]));
}

/**
 * Changes with every change of a table, its columns, indexes, constraints and partitions, of a type, of a schema's
 * name, and of what is published; before 11, of which no stream tells, with TRUNCATE too.
 */
export async function schemaFingerprint(source: Client): Promise<string> {
  const version = await serverVersion(source);
  const file = version < 110000 ? ", relfilenode" : "";
  const sequences = version < 100000 ? "" : "(SELECT sum(hashtext(s::text)::int8) FROM pg_sequence s),";
  const { rows } = await source.query<{ fingerprint: string }>(
    `WITH relation AS (
       SELECT c.oid, c.relname, c.relkind, c.relnamespace, c.relfilenode, c.relreplident FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'i', 'I', 'c') AND c.relpersistence <> 't'
          AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')
     SELECT concat_ws(' ',
       (SELECT sum(hashtext(concat_ws(' ', oid, relname, relkind, relnamespace, relreplident${file}))::int8) FROM relation),
       (SELECT sum(hashtext(concat_ws(' ', attrelid, attnum, attname, atttypid, atttypmod, attnotnull, atthasdef, attisdropped, a.xmin))::int8)
          FROM pg_attribute a JOIN relation ON relation.oid = attrelid WHERE attnum > 0),
       (SELECT sum(hashtext(concat_ws(' ', k.oid, k.conname))::int8) FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace AND n.nspname !~ '^pg_'),
       (SELECT sum(hashtext(concat_ws(' ', h.inhrelid, h.inhparent, h.xmin))::int8) FROM pg_inherits h JOIN relation ON relation.oid = h.inhrelid),
       (SELECT sum(hashtext(concat_ws(' ', t.oid, t.typname, t.typnamespace, t.typnotnull, t.typdefault))::int8)
          FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace AND n.nspname !~ '^pg_' WHERE t.typtype IN ('d', 'e', 'r')),
       (SELECT sum(hashtext(concat_ws(' ', n.oid, n.nspname))::int8) FROM pg_namespace n WHERE n.nspname !~ '^pg_'),
       ${sequences}
       ${(await hasPublications(source)) ? publicationSums : ""}
       (SELECT sum(hashtext(concat_ws(' ', oid, enumtypid, enumlabel, enumsortorder))::int8) FROM pg_enum)) AS fingerprint`,
  );
  return rows[0]!.fingerprint;
}

const publicationSums = `
       (SELECT sum(hashtext(concat_ws(' ', oid, xmin))::int8) FROM pg_publication),
       (SELECT sum(hashtext(concat_ws(' ', oid, prpubid, prrelid))::int8) FROM pg_publication_rel),`;
