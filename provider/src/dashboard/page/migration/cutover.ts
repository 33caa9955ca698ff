import type { CutoverStep } from "../../../status.js";
import { element } from "../components/element.js";
import { seconds } from "../components/format.js";

/** The steps of the cutover as a waterfall, one group per database. */
export function cutoverPart(timeline: readonly CutoverStep[]): Node[] {
  if (timeline.length === 0) return [];
  const databases = [...new Set(timeline.map(({ database }) => database))];
  const groups = databases.map((name) => ({ name, steps: timeline.filter(({ database }) => database === name) }));
  const longest = Math.max(...groups.map(({ steps }) => duration(steps)), 0.001);
  return [
    element("h2", {}, "Cutover"),
    element(
      "table",
      { class: "waterfall", "aria-label": "Cutover" },
      ...groups.map(({ name, steps }) => group(name, steps, longest)),
    ),
  ];
}

const duration = (steps: readonly CutoverStep[]): number => steps.reduce((sum, step) => sum + step.seconds, 0);

function group(database: string, steps: readonly CutoverStep[], longest: number): HTMLElement {
  const head = element(
    "tr",
    {},
    element("th", { scope: "rowgroup", colspan: "2" }, database),
    element("td", { class: "number" }, seconds(duration(steps))),
  );
  let start = 0;
  const rows = steps.map(({ step, seconds: took }) => {
    const bar = element("span", { class: "step" });
    bar.style.marginInlineStart = `${(100 * start) / longest}%`;
    bar.style.inlineSize = `${(100 * took) / longest}%`;
    start += took;
    return element(
      "tr",
      {},
      element("td", { class: "wrap" }, step),
      element("td", { class: "track" }, bar),
      element("td", { class: "number" }, seconds(took)),
    );
  });
  return element("tbody", {}, head, ...rows);
}
