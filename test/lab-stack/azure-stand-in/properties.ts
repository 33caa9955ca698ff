/** A resource's inputs or outputs, as JSON has them. */
export type Properties = Readonly<Record<string, unknown>>;

/** What is found by a path such as `network.delegatedSubnetResourceId` or `ipConfigurations.0.subnet.id`. */
export function at(properties: unknown, path: string): unknown {
  return path
    .split(".")
    .reduce<unknown>(
      (value, key) =>
        typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined,
      properties,
    );
}

/** The text at a path; empty when there is none. */
export function text(properties: unknown, path: string): string {
  const value = at(properties, path);
  return typeof value === "string" ? value : "";
}

/** The list at a path; empty when there is none. */
export function list(properties: unknown, path: string): readonly unknown[] {
  const value = at(properties, path);
  return Array.isArray(value) ? (value as unknown[]) : [];
}
