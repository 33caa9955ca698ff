import type { MigrationResource } from "../../migration-resource.js";
import { element } from "./element.js";

interface Step {
  readonly name: string;
  readonly subStates: readonly string[];
}

const steps = (mode: string, option: string): Step[] => [
  { name: "Prepare", subStates: ["PerformingPreRequisiteSteps"] },
  ...(option === "Migrate" ? [] : [{ name: "Validate", subStates: ["ValidationInProgress"] }]),
  ...(option === "Validate" ? [] : [{ name: "Copy", subStates: ["MigratingData"] }]),
  ...(option === "Validate" || mode === "Offline"
    ? []
    : [
        { name: "Follow", subStates: ["WaitingForCutoverTrigger"] },
        { name: "Cut over", subStates: ["CompletingMigration"] },
      ]),
];

/** Where the migration is among its phases; a waiting substate that is none of these counts as preparation. */
export function stepper(migration: MigrationResource): HTMLElement {
  const { state, currentSubStateDetails } = migration.currentStatus;
  const all = steps(migration.migrationMode, migration.migrationOption);
  const found = all.findIndex(({ subStates }) => subStates.includes(currentSubStateDetails?.currentSubState ?? ""));
  const isEnd = currentSubStateDetails?.currentSubState === "Completed";
  const current = isEnd ? all.length : Math.max(0, found);
  const isDone = (i: number): boolean => (isEnd ? state === "Succeeded" : i < current);
  const items = [...all.map(({ name }) => name), isEnd ? (state ?? "") : "Done"].map((name, i) =>
    element(
      "li",
      { ...(i === current ? { "aria-current": "step" } : {}), class: isDone(i) && i !== current ? "done" : "" },
      name,
    ),
  );
  return element("ol", { class: "stepper", "aria-label": "Phases" }, ...items);
}
