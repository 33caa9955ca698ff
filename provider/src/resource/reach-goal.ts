import { log } from "../log.js";
import { messageOf } from "../errors.js";
import type { Inputs } from "../inputs/inputs.js";
import { goalFromInputs } from "../supervisor/wait-target.js";
import { superviseWorker, type Report } from "../supervisor/supervise-worker.js";
import { observeBriefly } from "./observe.js";
import { reportEnd } from "../report/report-end.js";
import { printable } from "./printable.js";
import { idOf, outputsOf, type Properties } from "./state.js";

/** The limit of Azure's service for a migration: seven days. */
const longestWaitSeconds = 7 * 24 * 3600;

/** An operation on a recorded migration. */
interface Operation {
  readonly raw: Properties;
  readonly inputs: Inputs;
  readonly ownershipToken: string;
  readonly report: Report;
  readonly timeoutSeconds: number | undefined;
}

/**
 * Starts a worker if none runs, and watches the migration until the goal of its inputs.
 *
 * @returns the outputs for the state
 * @throws MigrationIncompleteError when the goal is not reached
 */
export async function reachGoal({
  raw,
  inputs,
  ownershipToken,
  report,
  timeoutSeconds,
}: Operation): Promise<Properties> {
  try {
    const result = await superviseWorker(inputs, {
      goal: goalFromInputs(inputs),
      report,
      timeoutSeconds: timeoutSeconds ?? longestWaitSeconds,
    });
    const status = await reportEnd(inputs, result.status);
    const outputs = outputsOf(raw, inputs, ownershipToken, status);
    if (result.reached) return outputs;
    throw new MigrationIncompleteError(idOf(inputs), outputs, result.reason);
  } catch (error) {
    if (error instanceof MigrationIncompleteError) throw error;
    // The migration is recorded: without an id in the state, pulumi destroy would not remove it.
    const seen = await observeBriefly(inputs, "follow");
    if (seen?.kind !== "recorded") throw error;
    throw new MigrationIncompleteError(
      idOf(inputs),
      outputsOf(raw, inputs, ownershipToken, seen.status),
      messageOf(error),
      error,
    );
  }
}

/**
 * The migration exists and has not reached its goal. Pulumi's dynamic provider reads these fields: the resource stays
 * in the state, and the next `up` calls update.
 *
 * @example
 * ```ts
 * if (error instanceof MigrationIncompleteError) console.log(error.message);
 * ```
 */
export class MigrationIncompleteError extends Error {
  readonly reasons: readonly string[];

  /** @hidden */
  constructor(
    readonly id: string,
    readonly properties: Properties,
    reason: string,
    cause?: unknown,
  ) {
    super(reason, { cause });
    this.name = "MigrationIncompleteError";
    this.reasons = [printable(reason)];
  }
}

/** Prints notes if there is no Pulumi row for them. */
export function toStandardError(line: string): void {
  log.warn(line);
}
