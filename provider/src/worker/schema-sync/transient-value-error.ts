import type { Client } from "pg";
import type { Relation } from "../../cdc/model/change.js";
import { qualify } from "../../postgres/identifiers.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { readTypeDrift, tablesByType, type TypeMarks } from "../schema-diff/type-drift.js";

export interface RefusedValue {
  readonly source: Client;
  readonly target: Client;
  /** The table of the value. */
  readonly relation: Relation;
  /** Why the target refused the value. */
  readonly cause: unknown;
  /** The source's types when they were last applied to the target; undefined if they were not recorded. */
  readonly before: TypeMarks | undefined;
}

/**
 * Whether the stream contains a value that its type no longer has. It may be a label that was renamed twice before the worker
 * compared the schemas, or an attribute that was added and dropped. The type is the same on both sides, and neither accepts the value.
 */
export async function isTransientValueError({
  source,
  target,
  relation,
  cause,
  before,
}: RefusedValue): Promise<boolean> {
  if (sqlStateOf(cause) !== sqlStates.invalidTextRepresentation) return false;
  const hasUsersType = [...(await tablesByType(source)).values()].some((tables) =>
    tables.some(({ oid }) => oid === String(relation.oid)),
  );
  if (!hasUsersType) return false;
  const { changes } = await readTypeDrift({ source, target, schemaOnTarget: (schema) => schema, before });
  const table = qualify(relation.schema, relation.name);
  return !changes.some(({ rule, tables }) => rule.action !== "after" && tables.includes(table));
}
