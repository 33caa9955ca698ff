import type { MigrationResource } from "../../display/migration-resource.js";
import { phasesOf } from "../../display/phases.js";
import { element } from "./element.js";
import { tone } from "./format.js";

/** Where the migration is among its phases. */
export function stepper(migration: MigrationResource): HTMLElement {
  const { state, currentSubStateDetails } = migration.currentStatus;
  const phases = phasesOf(migration, state, currentSubStateDetails?.currentSubState);
  const items = phases.map(({ name, stage }) =>
    element(
      "li",
      { class: `${stage} ${tone(name)}`, ...(stage === "current" ? { "aria-current": "step" } : {}) },
      name,
    ),
  );
  return element("ol", { class: "stepper", "aria-label": "Phases" }, ...items);
}
