import { InvalidArgumentError, Option } from "commander";
import { knownSpelling } from "../../inputs/any-case.js";

/**
 * An option with one of the values in any case, as in az.
 *
 * @example choice("--filter <which>", "migrations to list", ["Active", "All"])
 */
export const choice = (flags: string, description: string, values: readonly string[]): Option =>
  new Option(flags, description).choices(values).argParser((text) => {
    const value = knownSpelling(text, values);
    if (!values.includes(value)) throw new InvalidArgumentError(`Allowed choices are ${values.join(", ")}.`);
    return value;
  });
