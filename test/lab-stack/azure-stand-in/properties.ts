/** The inputs or outputs of a resource as JSON values. */
export type Properties = Readonly<Record<string, unknown>>;

/** The value at a path such as `network.delegatedSubnetResourceId` or `ipConfigurations.0.subnet.id`. */
export function at(properties: unknown, path: string): unknown {
  return path
    .split(".")
    .reduce<unknown>(
      (value, key) =>
        typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined,
      properties,
    );
}

/** The string at a path, or an empty one. */
export function text(properties: unknown, path: string): string {
  const value = at(properties, path);
  return typeof value === "string" ? value : "";
}

/** The list at a path, or an empty one. */
export function list(properties: unknown, path: string): readonly unknown[] {
  const value = at(properties, path);
  return Array.isArray(value) ? (value as unknown[]) : [];
}
