import { delay } from "../async/delay.js";
import { messageOf, UnreachableError } from "../errors.js";
import { failedDatabases } from "../status.js";
import type { Report } from "../supervisor/supervise-worker.js";
import { MigrationIncompleteError } from "./reach-goal.js";
import { idOf, inputsAmong, inputsWithin, statusWithin, type Properties } from "./state.js";

/** Pauses grow from 5 seconds to 5 minutes. */
const firstPauseMs = 5000;
const maxPauseMs = 300_000;

interface Created {
  readonly id: string;
  readonly outs: Properties;
}

/** How to create a migration, and how to attempt a recorded one again. */
export interface Attempts {
  readonly create: (inputs: Properties) => Promise<Created>;
  readonly update: (olds: Properties, news: Properties) => Promise<{ readonly outs: Properties }>;
  readonly note: Report;
  readonly firstPauseMs?: number;
}

/**
 * Creates a migration. Attempts it again if it fails, as often as `retries` says. With `onFailure: "report"`, the last failure
 * becomes an output, so that Pulumi continues with the other resources.
 *
 * @throws the errors of `create` with `onFailure: "fail"`
 */
export async function createWithRetries(given: Properties, attempts: Attempts): Promise<Created> {
  try {
    return await withRetries(given, attempts, () => attempts.create(given));
  } catch (error) {
    const inputs = inputsWithin(given);
    if (inputs?.onFailure !== "report") throw error;
    const id = error instanceof MigrationIncompleteError ? error.id : idOf(inputs);
    return { id, outs: reported(error, inputsAmong(given), attempts) };
  }
}

/** Like {@link createWithRetries}, for changed inputs or another attempt. */
export async function updateWithRetries(
  olds: Properties,
  news: Properties,
  attempts: Attempts,
): Promise<{ readonly outs: Properties }> {
  try {
    return await withRetries(news, attempts, () => attempts.update(olds, news));
  } catch (error) {
    if (inputsWithin(news)?.onFailure !== "report") throw error;
    // What was not applied still differs from the program, so that the next operation applies it.
    return { outs: reported(error, olds, attempts) };
  }
}

function reported(error: unknown, otherwise: Properties, { note }: Attempts): Properties {
  const failure = messageOf(error);
  note(`failed: ${failure}`);
  return { ...(error instanceof MigrationIncompleteError ? error.properties : otherwise), failure };
}

async function withRetries<Result extends { readonly outs: Properties }>(
  given: Properties,
  attempts: Attempts,
  first: () => Promise<Result>,
): Promise<Result> {
  const retries = inputsWithin(given)?.retries ?? 0;
  let attempt = first;
  let incomplete: MigrationIncompleteError | undefined;
  for (let failures = 0; ; failures++)
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof MigrationIncompleteError) incomplete = error;
      if (failures >= retries || !mayPassByItself(error)) throw asIncomplete(error, incomplete);
      const pauseMs = Math.min((attempts.firstPauseMs ?? firstPauseMs) * 2 ** failures, maxPauseMs);
      attempts.note(
        `attempt ${failures + 1} of ${retries + 1} failed; the next one starts in ${pauseMs / 1000} s: ${messageOf(error)}`,
      );
      await delay(pauseMs);
      if (error instanceof MigrationIncompleteError) {
        const { id, properties } = error;
        attempt = async () => ({ id, ...(await attempts.update(properties, given)) }) as unknown as Result;
      }
    }
}

/** What an earlier attempt recorded must stay in the state: without it, pulumi destroy would not remove the migration. */
function asIncomplete(error: unknown, earlier: MigrationIncompleteError | undefined): unknown {
  if (!earlier || error instanceof MigrationIncompleteError) return error;
  return new MigrationIncompleteError(earlier.id, earlier.properties, messageOf(error), error);
}

/** Whether another attempt may succeed. Wrong inputs, a failed validation and a time limit need the user. */
function mayPassByItself(error: unknown): boolean {
  if (!(error instanceof MigrationIncompleteError)) return error instanceof UnreachableError;
  const status = statusWithin(error.properties);
  // The records could not be read.
  if (!status) return error.cause instanceof UnreachableError;
  return status.state === "Failed" || failedDatabases(status).length > 0;
}
