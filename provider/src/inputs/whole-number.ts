import { z } from "zod";

/** A whole number within limits, also as text. */
export function wholeNumber(what: string, least: number, most: number): z.ZodCoercedNumber {
  const error = `give ${what} from ${least} to ${most}`;
  return z.coerce.number(error).int(error).min(least, error).max(most, error);
}
