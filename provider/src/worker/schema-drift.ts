import type { Client } from "pg";
import { hasPublications } from "../cdc/publication.js";
import { qualify, quoteIdentifier, quoteLiteral } from "../postgres/identifiers.js";
import { serverVersion } from "../postgres/server-version.js";
import type { Column, Table } from "../postgres/tables.js";

/** What the source's tables have become while they are followed, in terms of what the target needs. */
export interface SchemaDrift {
  /** Tables that the target lacks. */
  readonly newTables: readonly Table[];
  /** Statements that leave the changes of the older shape applicable. */
  readonly additions: readonly string[];
  /** Defaults that only the target's own writers will need. */
  readonly defaults: readonly { readonly table: Table; readonly sql: string }[];
  /** Statements that somebody has to decide on: what they do cannot be told from the catalogue with certainty. */
  readonly byHand: readonly Decision[];
}

export interface Decision {
  /** Qualified and quoted. */
  readonly table: string;
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
  /** By object identifier: what the source's tables were called when the target's were made; undefined where nobody has noted it. */
  readonly formerNames: Readonly<Record<string, string>> | undefined;
}

const nameOf = ({ schema, name }: Table): string => qualify(schema, name);

export async function readDrift(shapes: Shapes): Promise<SchemaDrift> {
  const { sourceTables, targetTables, followed, formerNames } = shapes;
  const here = new Map(targetTables.map((table) => [nameOf(table), table]));
  const there = new Map(sourceTables.map((table) => [nameOf(table), table]));
  const gone = targetTables.filter((table) => followed.has(nameOf(table)) && !there.has(nameOf(table)));
  const unknown = sourceTables.filter((table) => !here.has(nameOf(table)));
  const renamed = new Map(gone.flatMap((table) => renamedTo(table, unknown, formerNames)));
  const facts = await columnFacts(shapes.source);
  const drift = {
    newTables: unknown.filter((table) => ![...renamed.values()].includes(table)),
    additions: [...(await newEnumLabels(shapes))],
    defaults: [] as { table: Table; sql: string }[],
    byHand: [
      ...gone.map((table) => ({
        table: nameOf(renamed.get(table) ?? table),
        sql: goneStatement(table, renamed.get(table)),
      })),
      ...(await surplusRules(shapes, new Set([...here.keys()].filter((name) => there.has(name))))),
    ],
  };
  for (const table of sourceTables) {
    const twin = here.get(nameOf(table));
    if (twin) compareColumns(table, twin, facts, drift);
  }
  return drift;
}

function renamedTo(table: Table, candidates: readonly Table[], formerNames: Shapes["formerNames"]): [Table, Table][] {
  // By its looks one table may pass for another, which made room for it.
  const itself = candidates.find(({ oid }) => formerNames?.[String(oid)] === nameOf(table));
  if (itself) return [[table, itself]];
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

interface Changes {
  readonly additions: string[];
  readonly defaults: { table: Table; sql: string }[];
  readonly byHand: Decision[];
}

function compareColumns(
  table: Table,
  twin: Table,
  facts: ReadonlyMap<string, ColumnFact>,
  { additions, defaults, byHand }: Changes,
): void {
  const name = nameOf(table);
  const decide = (sql: string): void => void byHand.push({ table: name, sql });
  const added = table.columns.filter((column) => !twin.columns.some((other) => other.name === column.name));
  const gone = twin.columns.filter((column) => !table.columns.some((other) => other.name === column.name));
  if (gone.length === 1 && added.length === 1 && typeOf(gone[0]!) === typeOf(added[0]!)) {
    const [from, to] = [gone[0]!.name, added[0]!.name].map(quoteIdentifier);
    decide(`ALTER TABLE ${name} RENAME COLUMN ${from!} TO ${to!}`);
  } else {
    for (const column of gone) decide(`ALTER TABLE ${name} DROP COLUMN ${quoteIdentifier(column.name)}`);
    // A partition gets its columns from its parent.
    for (const column of twin.partitionOf ? [] : added) {
      const fact = facts.get(JSON.stringify([table.schema, table.name, column.name]));
      const sql = `ALTER TABLE ${name} ADD COLUMN ${quoteIdentifier(column.name)} ${column.type}`;
      const missing = fact?.missingValue ?? null;
      const isPlain = !column.generated && column.identity === undefined;
      if (!isPlain || (missing === null && (column.notNull || (fact?.defaultExpression ?? null) !== null))) {
        decide(`${sql}${clauses(column, fact)}`);
        continue;
      }
      const filled = missing === null ? "" : ` DEFAULT ${quoteLiteral(missing)}${column.notNull ? " NOT NULL" : ""}`;
      additions.push(`${sql}${filled}`);
      const expression = fact?.defaultExpression ?? null;
      const alter = `ALTER TABLE ${name} ALTER COLUMN ${quoteIdentifier(column.name)}`;
      if (missing !== null)
        defaults.push({
          table,
          sql: expression === null ? `${alter} DROP DEFAULT;` : `${alter} SET DEFAULT ${expression};`,
        });
    }
  }
  for (const column of table.columns) {
    const other = twin.columns.find((one) => one.name === column.name);
    if (!other) continue;
    const alter = `ALTER TABLE ${name} ALTER COLUMN ${quoteIdentifier(column.name)}`;
    if (typeOf(column) !== typeOf(other))
      decide(`${alter} TYPE ${column.type} USING ${quoteIdentifier(column.name)}::${column.type}`);
    if (other.notNull && !column.notNull && !twin.primaryKey.includes(column.name))
      additions.push(`${alter} DROP NOT NULL`);
  }
}

/** Without the schema: an extension's may be another one on the target. */
const typeOf = ({ type }: Column): string => type.replace(/^("(?:[^"]|"")*"|\w+)\./, "");

function clauses(column: Column, fact: ColumnFact | undefined): string {
  const expression = fact?.defaultExpression ?? null;
  const nullability = column.notNull ? " NOT NULL" : "";
  if (column.generated) return ` GENERATED ALWAYS AS (${expression ?? ""}) STORED`;
  if (column.identity) return ` GENERATED ${column.identity === "always" ? "ALWAYS" : "BY DEFAULT"} AS IDENTITY`;
  return `${expression === null ? "" : ` DEFAULT ${expression}`}${nullability}`;
}

async function columnFacts(source: Client): Promise<Map<string, ColumnFact>> {
  const missing =
    (await serverVersion(source)) >= 110000
      ? "CASE WHEN a.atthasmissing THEN (a.attmissingval::text::text[])[1] END"
      : "NULL::text";
  const { rows } = await source.query<{ schema: string; table: string; column: string } & ColumnFact>(
    `SELECT n.nspname AS schema, c.relname AS table, a.attname AS column,
            pg_get_expr(d.adbin, d.adrelid) AS "defaultExpression", ${missing} AS "missingValue"
       FROM pg_attrdef d
       JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
       JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`,
  );
  return new Map(rows.map((row) => [JSON.stringify([row.schema, row.table, row.column]), row]));
}

/** What the target still demands of rows and the source no longer does. */
async function surplusRules({ source, target }: Shapes, tables: ReadonlySet<string>): Promise<Decision[]> {
  const query = `
    SELECT n.nspname AS schema, c.relname AS table, k.conname AS name, true AS constraint
      FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE k.contype IN ('c', 'p', 'u', 'x') AND k.conislocal AND n.nspname !~ '^pg_'
    UNION ALL
    SELECT n.nspname, c.relname, i.relname, false
      FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE x.indisunique AND n.nspname !~ '^pg_' AND i.relkind = 'i'
       AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.oid)
       AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.oid AND k.contype IN ('p', 'u', 'x'))`;
  interface Rule {
    readonly schema: string;
    readonly table: string;
    readonly name: string;
    readonly constraint: boolean;
  }
  const key = ({ schema, table, name }: Rule): string => JSON.stringify([schema, table, name]);
  const there = new Set((await source.query<Rule>(query)).rows.map(key));
  const { rows } = await target.query<Rule>(query);
  return rows
    .filter((rule) => tables.has(qualify(rule.schema, rule.table)) && !there.has(key(rule)))
    .map(({ schema, table, name, constraint }) => ({
      table: qualify(schema, table),
      sql: constraint
        ? `ALTER TABLE ${qualify(schema, table)} DROP CONSTRAINT ${quoteIdentifier(name)}`
        : `DROP INDEX ${qualify(schema, name)}`,
    }));
}

interface EnumType {
  readonly schema: string;
  readonly name: string;
  readonly labels: string[];
}

async function newEnumLabels({ source, target }: Shapes): Promise<string[]> {
  const query = `
    SELECT n.nspname AS schema, t.typname AS name, array_agg(e.enumlabel::text ORDER BY e.enumsortorder) AS labels
      FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid JOIN pg_namespace n ON n.oid = t.typnamespace
     GROUP BY 1, 2`;
  const here = new Map((await target.query<EnumType>(query)).rows.map((row) => [qualify(row.schema, row.name), row]));
  const { rows } = await source.query<EnumType>(query);
  return rows.flatMap(({ schema, name, labels }) => {
    const known = here.get(qualify(schema, name))?.labels;
    if (!known) return [];
    const place = (index: number): string =>
      index === 0 ? `BEFORE ${quoteLiteral(known[0]!)}` : `AFTER ${quoteLiteral(labels[index - 1]!)}`;
    return labels.flatMap((label, index) =>
      known.includes(label)
        ? []
        : [`ALTER TYPE ${qualify(schema, name)} ADD VALUE IF NOT EXISTS ${quoteLiteral(label)} ${place(index)}`],
    );
  });
}

/**
 * Changes with every change of a table, its columns, indexes and constraints, of an enum, and of what is published;
 * before 11, of which no stream tells, with TRUNCATE too.
 */
export async function schemaFingerprint(source: Client): Promise<string> {
  const file = (await serverVersion(source)) < 110000 ? ", relfilenode" : "";
  const { rows } = await source.query<{ fingerprint: string }>(
    `WITH relation AS (
       SELECT c.oid, c.relname, c.relkind, c.relnamespace, c.relfilenode, c.relreplident FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'i', 'I') AND c.relpersistence <> 't'
          AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')
     SELECT concat_ws(' ',
       (SELECT sum(hashtext(concat_ws(' ', oid, relname, relkind, relnamespace, relreplident${file}))::int8) FROM relation),
       (SELECT sum(hashtext(concat_ws(' ', attrelid, attnum, attname, atttypid, atttypmod, attnotnull, atthasdef, attisdropped, a.xmin))::int8)
          FROM pg_attribute a JOIN relation ON relation.oid = attrelid WHERE attnum > 0),
       (SELECT sum(hashtext(concat_ws(' ', k.oid, k.conname))::int8) FROM pg_constraint k JOIN relation ON relation.oid = k.conrelid),
       ${(await hasPublications(source)) ? publicationSums : ""}
       (SELECT sum(hashtext(concat_ws(' ', enumtypid, enumlabel))::int8) FROM pg_enum)) AS fingerprint`,
  );
  return rows[0]!.fingerprint;
}

const publicationSums = `
       (SELECT sum(hashtext(concat_ws(' ', oid, xmin))::int8) FROM pg_publication),
       (SELECT sum(hashtext(concat_ws(' ', oid, prpubid, prrelid))::int8) FROM pg_publication_rel),`;
