/** Formats a whole number with decimal places: decimal(12345, 2) is "123.45". */
export function decimal(units: number, places: number): string {
  const digits = String(Math.abs(units)).padStart(places + 1, "0");
  return `${units < 0 ? "-" : ""}${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

/** Formats cents with four decimal places, as AdventureWorks stores money. */
export function money(cents: number): string {
  return decimal(cents * 100, 4);
}
