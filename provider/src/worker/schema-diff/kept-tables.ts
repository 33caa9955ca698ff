import type { Client } from "pg";
import type { Finding } from "../../findings.js";
import { qualify, quoteIdentifier, quoteLiteral, type RelationName } from "../../postgres/identifiers.js";
import { serverVersion } from "../../postgres/server-version.js";
import type { Table } from "../../postgres/tables.js";
import { tableRules } from "../../schema/catalogue/kinds/relations/tables.js";
import type { SchemaChange } from "./schema-change.js";

/**
 * Each table that was dropped on the source is moved to a schema of its own on the target, with its indexes and sequences. A table
 * that is created again can then use the same names, and two dropped tables do not collide.
 */
const keptSchema = ({ oid }: Table): string => `pgmigration_dropped_${oid}`;

/** Whether a schema of the target has a table that was dropped on the source. */
export const isKeptSchema = (schema: string): boolean => /^pgmigration_dropped_\d+$/.test(schema);

/**
 * Changes that move tables of the target to schemas of their own, because they were dropped on the source. The statement that is
 * shown to the user drops them instead.
 *
 * @param dropped tables of the target
 */
export async function keepDropped(target: Client, dropped: readonly Table[]): Promise<SchemaChange[]> {
  if (dropped.length === 0) return [];
  const links = await readTableLinks(
    target,
    dropped.map(({ oid }) => oid),
  );
  return dropped.map((table) => {
    const name = qualify(table.schema, table.name);
    const schema = keptSchema(table);
    const keepingSql = [
      ...links.flatMap(({ oid, statement }) => (oid === table.oid ? [statement] : [])),
      `CREATE SCHEMA ${quoteIdentifier(schema)}`,
      `COMMENT ON SCHEMA ${quoteIdentifier(schema)} IS ${quoteLiteral(name)}`,
      `ALTER TABLE ${name} SET SCHEMA ${quoteIdentifier(schema)}`,
    ].join("; ");
    return { rule: tableRules.dropped, tables: [name], sql: `DROP TABLE ${name}`, keepingSql };
  });
}

interface TableLink {
  readonly oid: number;
  /** Separates the dropped table from the others. */
  readonly statement: string;
}

/**
 * Inheritance would show the rows of a dropped table in its parent. A foreign key of a dropped table would prevent deletes
 * in other tables.
 */
async function readTableLinks(target: Client, oids: readonly number[]): Promise<TableLink[]> {
  const isOwn = (await serverVersion(target)) >= 110000 ? "k.conparentid = 0" : "true";
  const { rows: families } = await target.query<{
    oid: string;
    isPartition: boolean;
    child: RelationName;
    parent: RelationName;
  }>(
    `SELECT CASE WHEN h.inhrelid = ANY ($1) THEN h.inhrelid ELSE h.inhparent END::int8 AS oid, p.relkind = 'p' AS "isPartition",
            json_build_object('schema', cn.nspname, 'name', c.relname) AS child,
            json_build_object('schema', pn.nspname, 'name', p.relname) AS parent
       FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
       JOIN pg_class p ON p.oid = h.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
      WHERE c.relkind IN ('r', 'p', 'f') AND (h.inhrelid = ANY ($1)) <> (h.inhparent = ANY ($1))`,
    [oids],
  );
  const { rows: keys } = await target.query<{ oid: string; schema: string; table: string; name: string }>(
    `SELECT k.conrelid::int8 AS oid, n.nspname AS schema, c.relname AS table, k.conname AS name
       FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE k.contype = 'f' AND k.conrelid = ANY ($1)
        AND (${isOwn} OR EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = k.conrelid AND NOT h.inhparent = ANY ($1)))`,
    [oids],
  );
  return [
    ...families.map(({ oid, isPartition, child, parent }) => {
      const [heir, head] = [child, parent].map(({ schema, name }) => qualify(schema, name));
      return {
        oid: Number(oid),
        statement: isPartition
          ? `ALTER TABLE ${head!} DETACH PARTITION ${heir!}`
          : `ALTER TABLE ${heir!} NO INHERIT ${head!}`,
      };
    }),
    ...keys.map(({ oid, schema, table, name }) => ({
      oid: Number(oid),
      statement: `ALTER TABLE ${qualify(schema, table)} DROP CONSTRAINT IF EXISTS ${quoteIdentifier(name)}`,
    })),
  ];
}

/** Names the tables that the target keeps, and how to drop them or use them again. */
export async function keptTableFindings(database: string, target: Client): Promise<Finding[]> {
  const { rows } = await target.query<{ schema: string; table: string; former: string | null }>(
    `SELECT n.nspname AS schema, c.relname AS table, obj_description(n.oid, 'pg_namespace') AS former
       FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'f')
      WHERE n.nspname ~ '^pgmigration_dropped_\\d+$' ORDER BY 1`,
  );
  return rows.map(({ schema, table, former }) => ({
    ...{ database, type: "SchemaValidation", state: "Warning", code: "PGM-510", objectType: "Database" },
    object: former ?? table,
    message: `${former ?? table} was dropped on the source during the replication, copied again under its new name, or given a name that the filters exclude; the target keeps the former copy as ${qualify(schema, table)}`,
    remedy: `on the target, to drop it: DROP SCHEMA ${quoteIdentifier(schema)} CASCADE; to use it: ALTER TABLE ${qualify(schema, table)} SET SCHEMA, with the schema's name`,
  }));
}
