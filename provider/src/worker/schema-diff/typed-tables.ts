import { qualify } from "../../postgres/identifiers.js";
import type { Table } from "../../postgres/tables.js";
import type { ChangeRule } from "../../schema/catalogue/change-rule.js";
import { typedTableRules } from "../../schema/catalogue/kinds/relations/tables.js";
import type { SchemaChange } from "./schema-change.js";
import type { TypeDrift } from "./type-drift.js";

export interface TypedTableDrift {
  /** Statements that give a table columns of its own, if it is OF a type only on the target. */
  readonly releases: readonly SchemaChange[];
  /** Statements that make a table OF the type that it has on the source, once it has the columns of that type. */
  readonly changes: readonly SchemaChange[];
}

/** Whether a table is OF the same composite type on both sides. Changes of the type then change the table, too. */
export const isOfSameType = (table: Table, targetTable: Table, typeOnTarget: TypeDrift["typeOnTarget"]): boolean =>
  table.ofType !== undefined && targetTable.ofType === typeOnTarget(table.ofType);

/** @param pairs the source's tables with those of the target */
export function typedTableDrift(
  pairs: readonly { readonly table: Table; readonly targetTable: Table }[],
  typeOnTarget: TypeDrift["typeOnTarget"],
): TypedTableDrift {
  const other = pairs.filter(({ table, targetTable }) => !isOfSameType(table, targetTable, typeOnTarget));
  const change = (rule: ChangeRule, { schema, name }: Table, clause: string): SchemaChange => {
    const table = qualify(schema, name);
    return { rule, tables: [table], sql: `ALTER TABLE ${table} ${clause}` };
  };
  return {
    releases: other.flatMap(({ targetTable }) =>
      targetTable.ofType === undefined ? [] : [change(typedTableRules.released, targetTable, "NOT OF")],
    ),
    changes: other.flatMap(({ table }) =>
      table.ofType === undefined ? [] : [change(typedTableRules.bound, table, `OF ${table.ofType}`)],
    ),
  };
}
