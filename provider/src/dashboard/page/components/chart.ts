import type uPlotLibrary from "uplot";
import type { HistorySample } from "../../messages.js";
import { element } from "../element.js";

declare const uPlot: typeof uPlotLibrary;

export interface ChartOptions {
  readonly label: string;
  readonly value: (sample: HistorySample) => number;
  readonly format: (value: number) => string;
}

const height = 150;

/** One measure over time, with its last value in words for those who do not see it. */
export class Chart {
  readonly root: HTMLElement;
  readonly #caption = element("figcaption");
  readonly #plot: uPlotLibrary;
  readonly #options: ChartOptions;
  readonly #resize: ResizeObserver;
  readonly #scheme = matchMedia("(prefers-color-scheme: dark)");
  readonly #redraw = (): void => this.#plot.redraw();

  constructor(options: ChartOptions) {
    this.#options = options;
    const canvas = element("div", { "aria-hidden": "true" });
    this.root = element("figure", {}, this.#caption, canvas);
    const colour = (name: string) => () =>
      getComputedStyle(document.documentElement).getPropertyValue(name).trim() || "gray";
    const axis = { stroke: () => paint("--quiet"), grid: { stroke: () => paint("--line"), width: 1 } };
    const paint = (name: string): string => resolve(this.root, colour(name)());
    this.#plot = new uPlot(
      {
        width: 300,
        height,
        legend: { show: false },
        cursor: { drag: { x: false, y: false } },
        scales: {
          x: { range: (_plot, first, last) => atLeastAMinute(first, last) },
          y: { range: (_plot, _low, high) => [0, Math.max(1, high * 1.1)] },
        },
        axes: [axis, { ...axis, size: 74, values: (_plot, values) => values.map(options.format) }],
        series: [
          {},
          { stroke: () => paint("--accent"), fill: () => paint("--shade"), width: 2, points: { show: false } },
        ],
      },
      [[], []],
      canvas,
    );
    this.#resize = new ResizeObserver(([entry]) => {
      if (entry) this.#plot.setSize({ width: Math.max(200, entry.contentRect.width), height });
    });
    this.#resize.observe(this.root);
    this.#scheme.addEventListener("change", this.#redraw);
  }

  show(samples: readonly HistorySample[]): void {
    const { label, value, format } = this.#options;
    const last = samples.at(-1);
    this.#caption.replaceChildren(`${label}: `, element("strong", {}, last ? format(value(last)) : "-"));
    this.#plot.setData([samples.map(({ at }) => at / 1000), samples.map(value)]);
  }

  close(): void {
    this.#resize.disconnect();
    this.#scheme.removeEventListener("change", this.#redraw);
    this.#plot.destroy();
  }
}

/** Seconds since 1970; null before anything was measured. */
function atLeastAMinute(first: number | null, last: number | null): [number, number] {
  const end = last ?? Date.now() / 1000;
  return [Math.min(first ?? end, end - 60), end];
}

/** A canvas knows no `light-dark()`: the colour as the page shows it. */
function resolve(near: HTMLElement, colour: string): string {
  const probe = element("span");
  probe.style.color = colour;
  near.append(probe);
  const shown = getComputedStyle(probe).color;
  probe.remove();
  return shown;
}
