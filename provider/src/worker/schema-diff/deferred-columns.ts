import type { Client } from "pg";
import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import { serverVersion } from "../../postgres/server-version.js";
import { type Column, type Table, listTables } from "../../postgres/tables.js";
import type { ChangeRule } from "../../schema/catalogue/change-rule.js";
import {
  columnRules,
  type DefaultDetails,
  defaultRules,
  defaults,
  generatedColumnRules,
  identityRules,
} from "../../schema/catalogue/kinds/relations/columns.js";
import { readSchema } from "../../schema/catalogue/read-schema.js";
import { isSameExpression, objectDigest, shortDigest } from "../../schema/catalogue/digests.js";
import type { SchemaChange } from "./schema-change.js";

/**
 * A digest of each column's default or generation expression, by the table's OID and the column's number. Plain JSON.
 */
export type Defaults = Readonly<Record<string, string>>;

interface Default extends DefaultDetails {
  readonly column: string;
  readonly expression: string;
  readonly digest: string;
}

export interface DeferredColumns {
  readonly source: Client;
  readonly target: Client;
  /** The source's tables with the target's tables of the same names. */
  readonly pairs: readonly { readonly table: Table; readonly targetTable: Table }[];
  /** The source's defaults when they were last applied to the target; undefined if they were not recorded. */
  readonly before: Defaults | undefined;
  /** Whether another column of the source's table had this name when it was last applied to the target. */
  readonly isRecreated: (table: Table, column: string) => boolean;
}

export async function readDefaults(source: Client): Promise<Defaults> {
  return Object.fromEntries((await listDefaults(source)).map(({ key, digest }) => [key, digest]));
}

/** Statements that give columns the defaults, identities and NOT NULL constraints of the source. */
export async function readDeferredColumns({
  source,
  target,
  pairs,
  before,
  isRecreated,
}: DeferredColumns): Promise<SchemaChange[]> {
  const onSource = byColumn(await listDefaults(source));
  const onTarget = byColumn(await listDefaults(target));
  const isOldTarget = (await serverVersion(target)) < 170000;
  return pairs.flatMap(({ table, targetTable }) =>
    table.columns.flatMap((column): SchemaChange[] => {
      const other = targetTable.columns.find(({ name }) => name === column.name);
      if (!other || (column.generated === undefined) !== (other.generated === undefined)) return [];
      const wanted = onSource.get(JSON.stringify([String(table.oid), column.name]));
      const present = onTarget.get(JSON.stringify([String(targetTable.oid), column.name]));
      const name = qualify(targetTable.schema, targetTable.name);
      const isChanged = wanted && isChangedSince(before, wanted);
      const isOther = present?.expression !== wanted?.expression;
      if (column.generated)
        return wanted && ((isChanged && isOther) || isRecreated(table, column.name))
          ? [
              {
                rule: generatedColumnRules.changed,
                sql: setExpression(name, column, wanted.expression, isOldTarget),
                ...{ tables: [name], recomputes: name },
              },
            ]
          : [];
      const alter = `ALTER COLUMN ${quoteIdentifier(column.name)}`;
      const changes: SchemaChange[] = [];
      const change = (rule: ChangeRule, sql: string): void => void changes.push({ rule, sql, tables: [name] });
      if (other.identity && !column.identity)
        change(identityRules.dropped, `ALTER TABLE ${name} ${alter} DROP IDENTITY`);
      if (!wanted && present) change(defaultRules.dropped, `ALTER TABLE ONLY ${name} ${alter} DROP DEFAULT`);
      if (wanted && (!present || (isOther && (isChanged || (before && before[wanted.key] === undefined)))))
        change(defaultRules.set, `ALTER TABLE ONLY ${name} ${alter} SET DEFAULT ${wanted.expression}`);
      if (column.notNull && !other.notNull) change(columnRules.notNull, `ALTER TABLE ${name} ${alter} SET NOT NULL`);
      if (column.identity && other.identity && column.identity !== other.identity)
        change(
          identityRules.changed,
          `ALTER TABLE ${name} ${alter} SET GENERATED ${column.identity === "always" ? "ALWAYS" : "BY DEFAULT"}`,
        );
      return changes;
    }),
  );
}

function setExpression(table: string, column: Column, expression: string, isOldTarget: boolean): string {
  const name = quoteIdentifier(column.name);
  if (!isOldTarget) return `ALTER TABLE ${table} ALTER COLUMN ${name} SET EXPRESSION AS (${expression})`;
  return `ALTER TABLE ${table} DROP COLUMN ${name}, ADD COLUMN ${name} ${column.type} GENERATED ALWAYS AS (${expression}) STORED`;
}

/**
 * The OIDs of the source's tables whose replica identity contains a generated column with a changed expression. From then on
 * the stream identifies rows by values that the target does not have.
 */
export async function withRecomputedKeys(source: Client, before: Defaults = {}): Promise<string[]> {
  const changed = (await listDefaults(source)).filter((one) => isChangedSince(before, one));
  if (changed.length === 0) return [];
  const tables = new Map((await listTables(source)).map((table) => [String(table.oid), table]));
  return changed.filter(({ table, column }) => isComputedKey(tables.get(table), column)).map(({ table }) => table);
}

function isComputedKey(table: Table | undefined, name: string): boolean {
  if (table?.columns.find((column) => column.name === name)?.generated === undefined) return false;
  const { primaryKey, identityColumns, replicaIdentity } = table;
  return (replicaIdentity === "full" && primaryKey.length > 0 ? primaryKey : identityColumns).includes(name);
}

const isChangedSince = (before: Defaults = {}, { key, digest }: Default): boolean =>
  before[key] !== undefined && !isSameExpression(before[key], digest);

const byColumn = (defaults: readonly Default[]): Map<string, Default> =>
  new Map(defaults.map((one) => [JSON.stringify([one.table, one.column]), one]));

async function listDefaults(client: Client): Promise<Default[]> {
  const objects = await readSchema(client, [defaults], "text");
  return objects.map(({ name, details, definition, references }) => ({
    ...details,
    ...{ column: name, expression: definition!, digest: objectDigest(shortDigest(definition!), references!) },
  }));
}
