import { nearestName } from "pulumi-pg-migration";
import { z } from "zod";

type Issue = Parameters<z.core.$ZodErrorMap>[0];

/**
 * Makes the message of a schema whose rule has more to explain than the type of its values.
 *
 * @example z.string().regex(/^[a-z]+$/, expected("lower-case letters"))
 */
export const expected = (rule: string) => ({ error: ({ input }: Issue) => invalid(input, rule) });

const invalid = (input: unknown, rule: string): string =>
  input === undefined ? `is missing, expected ${rule}` : `invalid value ${JSON.stringify(input)}, expected ${rule}`;

/** The message for a name that is not in a list. */
export function unknownName(what: string, name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known);
  return `unknown ${what} "${name}"${nearest === undefined ? "" : `, did you mean ${nearest}?`}`;
}

const typeNames: Readonly<Record<string, string>> = {
  array: "a list",
  object: "an object",
  record: "an object",
  int: "a whole number",
};

/** Replaces the messages of zod. One line for each unknown key, because zod reports them together. */
export const describeIssue: z.core.$ZodErrorMap = (issue) => {
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey(key, issue)).join("\n");
  if (issue.code === "invalid_key") return issue.issues[0]!.message;
  return invalid(issue.input, ruleOf(issue));
};

function unknownKey(key: string, { inst }: Issue): string {
  const known = inst instanceof z.ZodObject ? Object.keys(inst.shape) : [];
  return `${key}: ${unknownName("key", key, known)}`;
}

function ruleOf(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return typeNames[issue.expected] ?? `a ${issue.expected}`;
    case "invalid_value":
      return oneOf(issue.values.map(String));
    case "too_small":
      return issue.origin === "string" ? "a text that is not empty" : `at least ${issue.minimum}`;
    case "too_big":
      return `at most ${issue.maximum}`;
    default:
      return "another value";
  }
}

const oneOf = (values: readonly string[]): string => (values.length === 1 ? values[0]! : `one of ${values.join(", ")}`);
