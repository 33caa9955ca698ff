import { InvalidInputError, messageOf } from "../../errors.js";

/**
 * Checks an expression before the command does its work. The library is loaded only here and in {@link query}, because
 * most commands do not use it.
 *
 * @throws InvalidInputError if the expression is invalid
 */
export async function checkQuery(expression: string): Promise<void> {
  const { compile } = await import("jmespath");
  naming(expression, () => compile(expression));
}

/**
 * The part of an answer that a JMESPath expression selects, as `--query` of az.
 *
 * @throws InvalidInputError if the expression does not suit the answer
 * @example await query([{ name: "crm", tags: {} }], "[].name") // ["crm"]
 */
export async function query(answer: unknown, expression: string): Promise<unknown> {
  const { search } = await import("jmespath");
  // The library reads plain JSON: it does not know undefined.
  return naming(expression, () => search(JSON.parse(JSON.stringify(answer)), expression));
}

function naming<T>(expression: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new InvalidInputError([
      { property: "--query", reason: `invalid expression "${expression}": ${messageOf(error)}` },
    ]);
  }
}
