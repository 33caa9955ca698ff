import { isDeepStrictEqual } from "node:util";
import { certificateFailures } from "../inputs/certificates.js";
import { checkInputs } from "../inputs/check-inputs.js";
import { withTimeout } from "../async/with-timeout.js";
import { InvalidInputError, RefusedError, UnreachableError, messageOf, type InputFailure } from "../errors.js";
import type { Inputs } from "../inputs/inputs.js";
import { differingIdentity } from "./ownership/identity.js";
import type { Report } from "../supervisor/supervise-worker.js";
import { resolveDatabases } from "./databases/resolve-databases.js";
import { observeBriefly, observeWithinMs } from "./observe.js";
import { toStandardError } from "./reach-goal.js";
import { inputsWithin, withoutUndefined, type Properties } from "./state.js";
import { dependsOnState, impossibleTransitions, withoutRecordedChanges } from "./transitions.js";

export interface CheckAnswer {
  readonly inputs: Properties;
  readonly failures: InputFailure[];
}

/**
 * Checks inputs, fills in defaults, and replaces patterns in `dbsToMigrate` by databases. Values that a preview does not
 * know yet are accepted. A change that depends on the migration's state is compared with the records on the target.
 *
 * @param note takes which databases the patterns select, or why that is not known
 */
export async function check(olds: Properties, news: Properties, note: Report = toStandardError): Promise<CheckAnswer> {
  const { __provider, ...given } = news;
  const { own, unmatched } = await resolveBriefly(olds, given, note);
  const { declared, inputs, failures } = checkInputs(own);
  const filled: Properties = declared ? withoutUndefined(declared) : own;
  const forbidden = inputs
    ? [...certificateFailures(inputs), ...movedRecords(olds, own, inputs), ...(await forbiddenByState(olds, inputs))]
    : [];
  return {
    inputs: __provider === undefined ? filled : { ...filled, __provider },
    failures: [...failures, ...unmatched, ...forbidden],
  };
}

/** Without an answer of the source, the patterns stay as they are, and the operation itself resolves them. */
async function resolveBriefly(
  olds: Properties,
  given: Properties,
  note: Report,
): Promise<{ own: Properties; unmatched: readonly InputFailure[] }> {
  const unknown = (reason: string): void => note(`the databases that dbsToMigrate selects are not known: ${reason}`);
  try {
    const own = await withTimeout(resolveDatabases(olds, given, note), observeWithinMs);
    if (!own) unknown(`the source did not answer within ${observeWithinMs / 1000} s`);
    return { own: own ?? given, unmatched: [] };
  } catch (error) {
    if (error instanceof InvalidInputError) return { own: given, unmatched: error.failures };
    if (!(error instanceof RefusedError || error instanceof UnreachableError)) throw error;
    unknown(messageOf(error));
    return { own: given, unmatched: [] };
  }
}

/** The default of maintenanceDatabase depends on dbsToMigrate. To replace the migration for that would surprise the user. */
function movedRecords(olds: Properties, news: Properties, after: Inputs): InputFailure[] {
  const before = inputsWithin(olds);
  const isExplicit = olds.maintenanceDatabase !== undefined || news.maintenanceDatabase !== undefined;
  if (!before || isExplicit || !isDeepStrictEqual(differingIdentity(before, after), ["maintenanceDatabase"])) return [];
  const { maintenanceDatabase } = before;
  const reason =
    `the records of this migration are in the database ${maintenanceDatabase}, and this change would move them; ` +
    `set maintenanceDatabase to ${maintenanceDatabase}, or migrate postgres with another PgMigration`;
  return [{ property: "dbsToMigrate", reason }];
}

async function forbiddenByState(olds: Properties, after: Inputs): Promise<InputFailure[]> {
  const before = inputsWithin(olds);
  // Another identity means another migration, which replaces this one.
  if (!before || differingIdentity(before, after).length > 0 || !dependsOnState({ before, after })) return [];
  const seen = await observeBriefly(before, "check");
  if (seen?.kind !== "recorded") return [];
  return impossibleTransitions(withoutRecordedChanges({ before, after }, seen.spec), seen.status);
}
