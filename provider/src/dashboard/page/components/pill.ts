import type { MigrationResource } from "../../../display/migration-resource.js";
import { element } from "./element.js";
import { words } from "./format.js";

export type Tone = "good" | "bad" | "warn" | "active" | "idle";

/** Drawn in a box of 16 x 16. */
const paths: Readonly<Record<Tone, string>> = {
  good: "M3 8.5l3.2 3.2L13 5",
  bad: "M4 4l8 8M12 4l-8 8",
  warn: "M8 3v6M8 12.4v.2",
  active: "M13 8a5 5 0 1 1-2-4",
  idle: "M4 8h8",
};

const tones: ReadonlyMap<string, Tone> = new Map<string, Tone>([
  ...["Succeeded", "completed", "equal"].map((state) => [state, "good"] as const),
  ...["Failed", "ValidationFailed", "errored", "different", "lost"].map((state) => [state, "bad"] as const),
  ...["Warning", "WaitingForUserAction"].map((state) => [state, "warn"] as const),
  ...[
    "InProgress",
    "loading",
    "running",
    "CleaningUp",
    "Canceling",
    "WaitingForCutoverTrigger",
    "WaitingForCutoverWindow",
  ].map((state) => [state, "active"] as const),
]);

export const toneOf = (state: string): Tone => tones.get(state) ?? "idle";

/** A state with an icon and a colour, so that it is recognized without either. */
export function pill(state: string, label = words(state), tone = toneOf(state)): HTMLElement {
  return element("span", { class: `pill ${tone}`, title: state }, icon(tone), label);
}

/** A lost worker matters more than the state in which it left the migration. */
export function statusPill({ currentStatus: { state = "InProgress", worker } }: MigrationResource): HTMLElement {
  return worker?.state === "lost" ? pill("lost", "Worker lost") : pill(state);
}

export function icon(tone: Tone): SVGSVGElement {
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg");
  const path = document.createElementNS(namespace, "path");
  for (const [name, value] of [
    ["viewBox", "0 0 16 16"],
    ["class", "icon"],
    ["aria-hidden", "true"],
  ] as const)
    svg.setAttribute(name, value);
  path.setAttribute("d", paths[tone]);
  svg.append(path);
  return svg;
}
