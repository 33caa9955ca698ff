import { parseInputs } from "../../provider/src/inputs/check-inputs";
import { specOf } from "../../provider/src/inputs/inputs";
import type { Finding } from "../../provider/src/findings";
import { validate } from "../../provider/src/validation/validate";

/** Warnings and failures that the validation reports for these inputs. */
export async function problemsOf(inputs: Record<string, unknown>): Promise<Finding[]> {
  const parsed = parseInputs(inputs);
  const findings = await validate({
    spec: specOf(parsed),
    source: parsed.source,
    target: parsed.target,
    ownDatabases: new Set(),
    occupied: new Map(),
  });
  return findings.filter(({ state }) => state !== "Succeeded");
}
