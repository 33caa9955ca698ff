import type { Client } from "pg";
import type { Relation } from "../../cdc/model/change.js";
import { qualify } from "../../postgres/identifiers.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { readTypeDrift, tablesByType, type TypeMarks } from "../schema-diff/type-drift.js";

export interface RefusedValue {
  readonly source: Client;
  readonly target: Client;
  /** The table that the value is of. */
  readonly relation: Relation;
  /** Why the target has not taken the value. */
  readonly cause: unknown;
  /** The source's types when the target had got them all; undefined where nobody has noted them. */
  readonly before: TypeMarks | undefined;
}

/**
 * Whether the stream tells a value in words that a type had for a while only: labels of an enum that was renamed twice
 * before anybody looked, attributes that came and went. The table's types are alike on both sides, and neither knows it.
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
  const drift = await readTypeDrift({ source, target, schemaOnTarget: (schema) => schema, before });
  const table = qualify(relation.schema, relation.name);
  return drift.additions.length === 0 && !drift.byHand.some(({ tables }) => tables.includes(table));
}
