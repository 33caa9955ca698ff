/** Replaces values in a preview that are not known yet (Pulumi SDK, `runtime.unknownValue`). */
export const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** Whether the value, or a part of it, is not known yet. */
export function containsUnknown(value: unknown): boolean {
  if (value === unknownValue) return true;
  return typeof value === "object" && value !== null && Object.values(value).some(containsUnknown);
}

/** Whether the value at the path, or a value that contains it, is not known yet. */
export function touchesUnknown(raw: unknown, path: readonly PropertyKey[]): boolean {
  let value = raw;
  for (const key of [...path, undefined]) {
    if (value === unknownValue) return true;
    if (key === undefined || typeof value !== "object" || value === null) return false;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return false;
}
