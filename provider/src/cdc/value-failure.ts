import { messageOf } from "../errors.js";
import { sqlStateOf, sqlStates } from "../postgres/sql-state.js";
import { type Binding, ShapeDiffers } from "./binding/table-mapping.js";
import type { Parts } from "./parts.js";

/** No such text is a value of the type: it may be another one on the source by now, as an enum or a composite type. */
export function valueFailure({ name, relation }: Binding, { sender, receiver, stream }: Parts, cause: Error): Error {
  const code = sqlStateOf(cause);
  if (code !== sqlStates.invalidTextRepresentation) return cause;
  return new ShapeDiffers(
    name,
    relation,
    `the ${receiver}'s ${name} cannot take what the ${sender}'s has: ${messageOf(cause)} (SQLSTATE ${code})`,
    {
      remedy: `alter the types of the columns of ${name} on the ${receiver} as they are on the ${sender}; the ${stream} then goes on`,
      code: "603130",
      cause,
    },
  );
}
