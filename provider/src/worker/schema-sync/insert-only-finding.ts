import { qualify } from "../../postgres/identifiers.js";
import type { Table } from "../../postgres/tables.js";
import type { Finding } from "../../findings.js";
import { enumerate } from "../../validation/context.js";

/** Of tables that have come, or have lost their key, since validation said this of those that were there. */
export function insertOnlyFinding(database: string, tables: readonly Table[]): Finding {
  const names = enumerate(tables.map(({ schema, name }) => qualify(schema, name)));
  const whole = tables.filter(({ columns }) => columns.every(({ generated }) => generated === undefined));
  const wholeRows = whole.map(({ schema, name }) => `, or ALTER TABLE ${qualify(schema, name)} REPLICA IDENTITY FULL`);
  return {
    ...{ database, type: "SchemaValidation", state: "Warning", object: names, objectType: "Database" },
    message: `${names} came, or lost its key, while it was followed: only inserts are followed there, since the stream tells no rows apart; an UPDATE or DELETE is found at the cutover as a difference`,
    remedy: `on the source: a primary key over columns that are not generated${wholeRows.slice(0, 5).join("")}; then it is copied anew, and all its changes are followed`,
  };
}
