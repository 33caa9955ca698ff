import { InvalidArgumentError } from "commander";

/** Parses the value of a numeric flag. */
export function wholeNumber(text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 0) return number;
  throw new InvalidArgumentError("expected a whole number of at least 0.");
}
