import { z } from "zod";

const pattern = z.string().min(1, "a pattern is a name, in which * stands for any characters");

/**
 * Which objects: schemas (`sales*`), tables and views (`sales.order*`, or `orders` in whatever schema), extensions. A
 * kind that is not named is not filtered.
 */
export const filterSchema = z.strictObject({
  schemas: z.array(pattern).optional(),
  tables: z.array(pattern).optional(),
  extensions: z.array(pattern).optional(),
});

export type Filter = z.output<typeof filterSchema>;

/** A pattern as a regular expression that PostgreSQL and JavaScript understand alike. Case counts. */
export function patternExpression(text: string): string {
  const literal = (part: string): string => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  return `^${text.split("*").map(literal).join(".*")}$`;
}
