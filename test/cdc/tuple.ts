import { type Tuple, absentField, nullField } from "../../provider/src/cdc/model/change";

/** A field's text; null for NULL; undefined for a value that the stream omits. */
export type FieldText = string | null | undefined;

/** A decoded tuple with these fields. In the buffer, they follow other bytes of the message: `before`. */
export function tuple(values: readonly FieldText[], base?: Tuple, before = ""): Tuple {
  const parts = [before, ...values.map((value) => value ?? "")].map((text) => Buffer.from(text));
  let end = parts[0]!.length;
  const bounds = values.flatMap((value, field) => {
    if (value === undefined) return [absentField, absentField];
    if (value === null) return [nullField, nullField];
    return [end, (end += parts[field + 1]!.length)];
  });
  // The bounds of other rows come first in the shared array.
  const earlier = before === "" ? [] : [0];
  return {
    bytes: Buffer.concat(parts),
    bounds: [...earlier, ...bounds],
    at: earlier.length,
    fields: values.length,
    base,
  };
}
