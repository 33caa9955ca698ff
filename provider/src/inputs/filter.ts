import { z } from "zod";

const pattern = z.string().min(1, "a pattern is a name, in which * stands for any characters");

/**
 * Filters by schemas (`sales*`), by tables and views (`sales.order*`, or `orders` in any schema) and by extensions. A
 * kind that is omitted is not filtered.
 */
export const filterSchema = z.strictObject({
  schemas: z.array(pattern).optional(),
  tables: z.array(pattern).optional(),
  extensions: z.array(pattern).optional(),
});

export type Filter = z.output<typeof filterSchema>;

/**
 * Converts a pattern to a regular expression with the same meaning in PostgreSQL and JavaScript. It is case-sensitive.
 */
export function patternExpression(text: string): string {
  const literal = (part: string): string => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  return `^${text.split("*").map(literal).join(".*")}$`;
}
