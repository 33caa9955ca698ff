import { messageOf } from "../../errors.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { type TableMapping, ShapeDiffers } from "../binding/table-mapping.js";
import type { StreamRoles } from "../model/stream-roles.js";

/** The text is not a value of the target's type: an enum or composite type on the source was probably altered. */
export function valueFailure(
  { name, relation }: TableMapping,
  { publisher, subscriber, stream }: StreamRoles,
  cause: Error,
): Error {
  const code = sqlStateOf(cause);
  if (code !== sqlStates.invalidTextRepresentation) return cause;
  return new ShapeDiffers(
    name,
    relation,
    `${name} on the ${subscriber} cannot store a value that the ${publisher} has: ${messageOf(cause)} (SQLSTATE ${code})`,
    {
      remedy: `on the ${subscriber}, alter the column types of ${name} to those of the ${publisher}; the ${stream} then resumes`,
      code: "PGM-503",
      cause,
    },
  );
}
