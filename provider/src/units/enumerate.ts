/**
 * Names for a message: the first few, and the number of the others.
 *
 * @example enumerate(["a", "b", "c"], 2) === "a, b and 1 more"
 */
export function enumerate(names: readonly string[], max = 5): string {
  const shown = names.slice(0, max).join(", ");
  return names.length > max ? `${shown} and ${names.length - max} more` : shown;
}
