import { InvalidArgumentError, type Command } from "commander";
import { formatBytes, parseByteSize } from "../../units/byte-size.js";
import { type Budgets, minBytesPerSecond, minConnections } from "../../worker/budgets/budget.js";
import { wholeNumber } from "./whole-number.js";

export interface PoolFlags {
  readonly pool?: boolean;
  readonly maxMigrations?: number;
  readonly sourceCopies?: number;
  readonly sourceConnections?: number;
  readonly sourceRate?: number;
  readonly targetCopies?: number;
  readonly targetConnections?: number;
  readonly targetRate?: number;
}

/** Adds the options of a pool. Budgets apply to each server, across all processes of the pool. */
export function addPoolOptions(command: Command): Command {
  command
    .optionsGroup("A pool:")
    .option("--pool", "run the migrations of --targets that wait for an external worker")
    .option("--max-migrations <number>", "migrations of this process at the same time (4)", atLeast(1));
  for (const side of ["source", "target"] as const)
    command
      .option(`--${side}-copies <number>`, `databases copied at the same time per ${side}`, atLeast(1))
      .option(`--${side}-connections <number>`, `connections per ${side}`, atLeast(minConnections))
      .option(`--${side}-rate <size>`, `bytes copied per second per ${side}, such as 50MB`, byteRate);
  return command;
}

function atLeast(limit: number): (text: string) => number {
  return (text) => {
    const number = wholeNumber(text);
    if (number >= limit) return number;
    throw new InvalidArgumentError(`expected ${limit} or more`);
  };
}

function byteRate(text: string): number {
  const bytes = parseByteSize(text);
  if (bytes !== undefined && bytes >= minBytesPerSecond) return bytes;
  throw new InvalidArgumentError(`expected a size of at least ${formatBytes(minBytesPerSecond)}, such as 50MB`);
}

export const budgetsOf = (flags: PoolFlags): Budgets => ({
  source: {
    copies: flags.sourceCopies,
    connections: flags.sourceConnections,
    bytesPerSecond: flags.sourceRate,
  },
  target: {
    copies: flags.targetCopies,
    connections: flags.targetConnections,
    bytesPerSecond: flags.targetRate,
  },
});
