import type { Client } from "pg";
import { qualify, quoteIdentifier } from "../postgres/identifiers.js";
import { serverVersion } from "../postgres/server-version.js";

interface NamedColumn {
  readonly schema: string;
  readonly table: string;
  readonly column: string;
}

interface ComputedColumn extends NamedColumn {
  /** The table to alter: the table itself, or the root of its partitions. */
  readonly rootSchema: string;
  readonly root: string;
}

const firstVersionWithGenerated = 120000;

/**
 * Statements that drop generation expressions on the subscriber which were dropped on the publisher. A stream with generated
 * columns does not show the difference, so values that were sent before are missing on the subscriber.
 *
 * @param publications publications of the publisher; they show which tables are followed
 */
export async function dropsOfExpressions(
  publisher: Client,
  subscriber: Client,
  publications: readonly string[],
): Promise<string[]> {
  if ((await serverVersion(subscriber)) < firstVersionWithGenerated) return [];
  const { rows: computed } = await subscriber.query<ComputedColumn>(
    `SELECT n.nspname AS schema, c.relname AS table, a.attname AS column, s.nspname AS "rootSchema", r.relname AS root
       FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_catalog.pg_class r ON r.oid = coalesce(pg_catalog.pg_partition_root(c.oid), c.oid)
       JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
      WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> ''`,
  );
  if (computed.length === 0 || publications.length === 0) return [];
  const isWritten = (await serverVersion(publisher)) < firstVersionWithGenerated ? "true" : "a.attgenerated = ''";
  const { rows: written } = await publisher.query<NamedColumn>(
    `SELECT DISTINCT one.schema, one.table, one.column
       FROM unnest($2::text[], $3::text[], $4::text[]) AS one (schema, "table", "column")
       JOIN pg_catalog.pg_publication_tables p ON p.schemaname = one.schema AND p.tablename = one.table
       JOIN pg_catalog.pg_namespace n ON n.nspname = one.schema
       JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = one.table
       JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = one.column AND NOT a.attisdropped
      WHERE p.pubname = ANY ($1) AND ${isWritten}`,
    [
      publications,
      computed.map(({ schema }) => schema),
      computed.map(({ table }) => table),
      computed.map(({ column }) => column),
    ],
  );
  const keyOf = ({ schema, table, column }: NamedColumn): string => JSON.stringify([schema, table, column]);
  const isSent = new Set(written.map(keyOf));
  const statements = computed
    .filter((one) => isSent.has(keyOf(one)))
    .map(
      ({ rootSchema, root, column }) =>
        `ALTER TABLE ${qualify(rootSchema, root)} ALTER COLUMN ${quoteIdentifier(column)} DROP EXPRESSION`,
    );
  return [...new Set(statements)].sort();
}
