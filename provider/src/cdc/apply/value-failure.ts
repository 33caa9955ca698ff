import { messageOf } from "../../errors.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { type TableMapping, ShapeDiffers } from "../binding/table-mapping.js";
import type { StreamRoles } from "../model/stream-roles.js";

/** No such text is a value of the type: it may be another one on the source by now, as an enum or a composite type. */
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
    `the ${subscriber}'s ${name} cannot take what the ${publisher}'s has: ${messageOf(cause)} (SQLSTATE ${code})`,
    {
      remedy: `alter the types of the columns of ${name} on the ${subscriber} as they are on the ${publisher}; the ${stream} then goes on`,
      code: "603130",
      cause,
    },
  );
}
