import { readSelection } from "../../schema/plan/selection.js";
import type { Finding } from "../../findings.js";
import { enumerate, type Rule } from "../context.js";

/** What a filter takes away from objects that it does not name. */
export const filters: Rule = async ({ spec, sources }) => {
  const findings: Finding[] = [];
  for (const [database, client] of sources) {
    const { lost } = await readSelection(client, spec);
    const common = { database, type: "SchemaValidation", objectType: "Database" } as const;
    const vital = lost.filter((one) => one.vital).map(({ what }) => what);
    if (vital.length > 0)
      findings.push({
        ...common,
        state: "Failed",
        object: vital[0],
        message: `the filter leaves out what is needed by ${enumerate(vital)}`,
        remedy: "include what they use (their types, functions, extensions or schemas), or exclude them by name",
      });
    const others = lost.filter((one) => !one.vital).map(({ what }) => what);
    if (others.length > 0)
      findings.push({
        ...common,
        state: "Warning",
        object: others[0],
        message: `not migrated, since the filter leaves out what they need: ${enumerate(others, 20)}`,
        remedy: "include what they use, or accept that the target has none of them",
      });
  }
  return findings;
};
