import { certificateFailures } from "../inputs/certificates.js";
import { checkInputs } from "../inputs/check-inputs.js";
import type { InputFailure } from "../errors.js";
import type { Inputs } from "../inputs/inputs.js";
import { differingIdentity } from "./ownership/identity.js";
import { observeBriefly } from "./observe.js";
import { inputsWithin, withoutUndefined, type Properties } from "./state.js";
import { dependsOnState, impossibleTransitions } from "./transitions.js";

export interface CheckAnswer {
  readonly inputs: Properties;
  readonly failures: InputFailure[];
}

/**
 * Checks inputs and fills in defaults. Values that a preview does not know yet are accepted. A change that depends on
 * the migration's state is compared with the records on the target.
 */
export async function check(olds: Properties, news: Properties): Promise<CheckAnswer> {
  const { __provider, ...own } = news;
  const { declared, inputs, failures } = checkInputs(own);
  const filled: Properties = declared ? withoutUndefined(declared) : own;
  const forbidden = inputs ? [...certificateFailures(inputs), ...(await forbiddenByState(olds, inputs))] : [];
  return {
    inputs: __provider === undefined ? filled : { ...filled, __provider },
    failures: [...failures, ...forbidden],
  };
}

async function forbiddenByState(olds: Properties, after: Inputs): Promise<InputFailure[]> {
  const before = inputsWithin(olds);
  // Another identity means another migration, which replaces this one.
  if (!before || differingIdentity(before, after).length > 0 || !dependsOnState({ before, after })) return [];
  const seen = await observeBriefly(before, "check");
  return seen?.kind === "recorded" ? impossibleTransitions({ before, after }, seen.status) : [];
}
