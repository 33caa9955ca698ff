import type { Client } from "pg";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import { isCutRelation, readSelection } from "../../schema/plan/selection.js";
import type { RollbackGap } from "./rollback-gap.js";

/**
 * Triggers and rules of the source that fire for replicated changes. The target's changes already contain what they wrote
 * there, so that rollback replication would apply it twice.
 *
 * @example
 * await replicaTriggerGaps(source, spec) // [{ object: "shop.orders", message: "… fires for replicated changes", remedy: … }]
 */
export async function replicaTriggerGaps(source: Client, spec: MigrationSpec): Promise<RollbackGap[]> {
  const selection = await readSelection(source, spec);
  const { rows } = await source.query<FiringObject>(firingObjects);
  return rows
    .filter((one) => !isCutRelation(selection, one))
    .map(({ kind, name, schema, table }) => ({
      object: `${schema}.${table}`,
      message: `${kind.toLowerCase()} ${quoteIdentifier(name)} of ${qualify(schema, table)} on the source fires for replicated changes; rollback replication would apply its effects twice`,
      remedy: `on the source: ALTER TABLE ${qualify(schema, table)} ENABLE ${kind} ${quoteIdentifier(name)}`,
    }));
}

interface FiringObject {
  readonly kind: "TRIGGER" | "RULE";
  readonly name: string;
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
}

/** A: always, R: only for replicated changes. Those of extensions are left out, as their tables are not replicated. */
const firingObjects = `
  SELECT one.kind, one.name, c.oid::int8, n.nspname AS schema, c.relname AS table
    FROM (SELECT 'TRIGGER' AS kind, tgname AS name, tgrelid AS relation FROM pg_catalog.pg_trigger
           WHERE tgenabled IN ('A', 'R') AND NOT tgisinternal
          UNION ALL
          SELECT 'RULE', rulename, ev_class FROM pg_catalog.pg_rewrite WHERE ev_enabled IN ('A', 'R')) AS one
    JOIN pg_catalog.pg_class c ON c.oid = one.relation AND c.relkind IN ('r', 'p')
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
   ORDER BY 4, 5, 1, 2`;
