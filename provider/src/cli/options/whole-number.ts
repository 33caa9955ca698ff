import { InvalidArgumentError } from "commander";

/** Reads a flag's number. */
export function wholeNumber(text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 0) return number;
  throw new InvalidArgumentError("give a whole number, not below zero");
}
