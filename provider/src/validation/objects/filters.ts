import { readSelection } from "../../schema/plan/selection.js";
import type { Finding } from "../../findings.js";
import type { Rule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";

/** Objects that a filter excludes indirectly, because they depend on excluded objects. */
export const filters: Rule = async ({ spec, sources }) => {
  const findings: Finding[] = [];
  for (const [database, client] of sources) {
    const { lost } = await readSelection(client, spec);
    const common = { database, type: "SchemaValidation", objectType: "Database", code: "PGM-419" } as const;
    const essential = lost.filter((one) => one.isEssential).map(({ what }) => what);
    if (essential.length > 0)
      findings.push({
        ...common,
        state: "Failed",
        object: essential[0],
        message: `the filter leaves out objects that these need: ${enumerate(essential)}`,
        remedy: "include the objects that they use (types, functions, extensions or schemas), or exclude them by name",
      });
    const others = lost.filter((one) => !one.isEssential).map(({ what }) => what);
    if (others.length > 0)
      findings.push({
        ...common,
        state: "Warning",
        object: others[0],
        message: `not migrated, because the filter leaves out objects that they need: ${enumerate(others, 20)}`,
        remedy: "include the objects that they use, or accept that the target lacks them",
      });
  }
  return findings;
};
