import { InvalidInputError } from "../errors.js";

type Json = Readonly<Record<string, unknown>>;

/** What the expressions of an ARM template refer to. Values may be Pulumi outputs. */
export interface TemplateScope {
  /** Given values of parameters, which are literal. */
  readonly given: Json;
  /** Defaults of parameters, which may contain expressions. */
  readonly defaults: Json;
  readonly variables: Json;
}

/** The given value of a parameter whose parameters file refers to a key vault. */
export const keyVaultReference = Symbol("a reference to a key vault");

/** Every expression of ARM starts with a call. Other texts in brackets, such as an IPv6 address, are literal. */
const expressionForm = /^\[([a-z]\w*\(.*)\]$/is;

/** A literal text in brackets. ARM removes the first one. */
const escapedForm = /^\[\[.*\]$/s;

/**
 * Resolves the expressions in a value of an ARM template, also those within lists and objects. Other values, such as
 * Pulumi outputs, are kept.
 *
 * @throws InvalidInputError naming the property and the call that cannot be resolved. It never contains other text of
 * the value, which may be a password.
 * @example resolveExpressions("[parameters('mode')]", "migrationMode", { given: { mode: "Online" }, defaults: {}, variables: {} })
 */
export function resolveExpressions(value: unknown, property: string, scope: TemplateScope): unknown {
  if (Array.isArray(value))
    return value.map((item, index) => resolveExpressions(item, `${property}[${String(index)}]`, scope));
  if (isPlainObject(value))
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, resolveExpressions(item, `${property}.${key}`, scope)]),
    );
  if (typeof value !== "string") return value;
  if (escapedForm.test(value)) return value.slice(1);
  const expression = expressionForm.exec(value)?.[1];
  return expression === undefined ? value : new Expression(expression, property, scope).value();
}

export const isPlainObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;

/** ARM ignores the case of names. */
const valueOf = (all: Json, wanted: unknown): unknown =>
  Object.entries(all).findLast(([name]) => name.toLowerCase() === String(wanted).toLowerCase())?.[1];

/** One expression, read from the left: calls, texts in quotes, and numbers. */
class Expression {
  readonly #tokens: string[];

  constructor(
    text: string,
    readonly property: string,
    readonly scope: TemplateScope,
  ) {
    this.#tokens = text.match(/'(?:[^']|'')*'|\w+|\S/g) ?? [];
  }

  value(): unknown {
    const [name = ""] = this.#tokens;
    const value = this.#term();
    if (this.#tokens.length > 0) this.#fail(`what follows ${name}() is not supported`);
    return value;
  }

  #term(): unknown {
    const token = this.#tokens.shift() ?? "";
    if (token.startsWith("'")) return token.slice(1, -1).replaceAll("''", "'");
    if (/^\d+$/.test(token)) return Number(token);
    if (this.#tokens.shift() !== "(") this.#fail("its parentheses or quotes do not match");
    const values: unknown[] = [];
    while (this.#tokens.length > 0 && this.#tokens[0] !== ")") {
      values.push(this.#term());
      if (this.#tokens[0] === ",") this.#tokens.shift();
    }
    this.#tokens.shift();
    return this.#call(token, values);
  }

  #call(name: string, values: readonly unknown[]): unknown {
    switch (name.toLowerCase()) {
      case "parameters":
        return this.#given(values) ?? this.#declared("parameter", this.scope.defaults, values);
      case "variables":
        return this.#declared("variable", this.scope.variables, values);
      case "concat":
        return this.#texts(name, values).join("");
      case "format": {
        const [form = "", ...texts] = this.#texts(name, values);
        // As in .NET, two braces are a literal one.
        return form.replace(/\{\{|\}\}|\{(\d+)\}|\{/g, (part, index) => {
          if (part === "{{" || part === "}}") return part.charAt(0);
          return texts[Number(index)] ?? this.#fail("format() needs placeholders such as {0}, each with its text");
        });
      }
      default:
        // What looks like a call may be the start of a password.
        return this.#fail(
          `the function ${/secret|password/i.test(this.property) ? "" : `${name}() `}is not supported; replace the expression by its value`,
        );
    }
  }

  #given([wanted]: readonly unknown[]): unknown {
    const value = valueOf(this.scope.given, wanted);
    if (value !== keyVaultReference) return value;
    return this.#fail(`the parameter ${String(wanted)} is a reference to a key vault; give its value`);
  }

  /** A default or a variable, which may refer to others. ARM refuses cycles, and so does the call stack. */
  #declared(kind: string, all: Json, [wanted]: readonly unknown[]): unknown {
    const value = valueOf(all, wanted);
    if (value === undefined || value === null)
      return this.#fail(`the ${kind} ${String(wanted)} has no value; give one, or a default in the template`);
    return resolveExpressions(value, this.property, this.scope);
  }

  #texts(name: string, values: readonly unknown[]): string[] {
    return values.map((value) => {
      if (typeof value === "string" || typeof value === "number") return String(value);
      return this.#fail(`${name}() needs texts whose values are known`);
    });
  }

  #fail(reason: string): never {
    throw new InvalidInputError([{ property: this.property, reason: `this expression cannot be resolved: ${reason}` }]);
  }
}
