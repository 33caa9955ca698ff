import type { MigrationResource } from "../../../display/migration-resource.js";
import { phasesOf, type Phase } from "../../../display/phases.js";
import { element } from "../components/element.js";
import { icon, type Tone } from "../components/pill.js";

const icons: Readonly<Partial<Record<Phase["stage"], Tone>>> = { done: "good", stopped: "bad" };

/** The phases of a migration, with the one that it has reached. */
export function stepper(migration: MigrationResource): HTMLElement {
  const hasSucceeded = migration.currentStatus.state === "Succeeded";
  const items = phasesOf(migration, migration.currentStatus).map(({ name, stage }) => {
    const shown = hasSucceeded ? "done" : stage;
    const mark = icons[shown];
    const isHere = stage === "current" || stage === "stopped";
    return element(
      "li",
      { class: shown, ...(isHere ? { "aria-current": "step" } : {}) },
      element("span", { class: "mark" }, ...(mark ? [icon(mark)] : [])),
      name,
    );
  });
  return element("ol", { class: "stepper", "aria-label": "Phases" }, ...items);
}
