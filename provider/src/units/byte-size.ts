const powers = ["B", "KB", "MB", "GB", "TB"];

/**
 * Parses a number of bytes, or a text such as `10GB`, `512 MB`, `1.5GiB`. Units are powers of 1024, as in PostgreSQL.
 * Undefined for an invalid size.
 */
export function parseByteSize(size: string | number): number | undefined {
  if (typeof size === "number") return size;
  const [, amount, unit = "B"] = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?b)?\s*$/i.exec(size) ?? [];
  const power = powers.indexOf(unit.toUpperCase().replace("I", ""));
  return amount === undefined || power < 0 ? undefined : Math.round(Number(amount) * 1024 ** power);
}

/** Bytes in the binary units that PostgreSQL's `pg_size_pretty` uses. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]!}`;
}
