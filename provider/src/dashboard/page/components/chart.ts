import type uPlotLibrary from "uplot";
import type { HistorySample } from "../../messages.js";
import { element } from "./element.js";
import { locale } from "./locale.js";

declare const uPlot: typeof uPlotLibrary;

export interface ChartOptions {
  readonly label: string;
  readonly value: (sample: HistorySample) => number;
  readonly format: (value: number) => string;
  /** Bytes have ticks at powers of two. */
  readonly isBytes: boolean;
}

const height = 150;

/** One measure over time. Its current value is in the caption, also for screen readers. */
export class Chart {
  readonly root: HTMLElement;
  readonly #caption = element("figcaption");
  readonly #plot: uPlotLibrary;
  readonly #options: ChartOptions;
  readonly #resize: ResizeObserver;
  readonly #scheme = matchMedia("(prefers-color-scheme: dark)");
  readonly #redraw = (): void => this.#plot.redraw();
  #drawn = 0;

  constructor(options: ChartOptions) {
    this.#options = options;
    const canvas = element("div", { "aria-hidden": "true" });
    this.root = element("figure", {}, this.#caption, canvas);
    const paint = (name: string) => (): string =>
      resolve(this.root, getComputedStyle(document.documentElement).getPropertyValue(name).trim() || "gray");
    const axis = { stroke: paint("--quiet"), grid: { stroke: paint("--line"), width: 1 } };
    const lowest = options.isBytes ? 1024 : 1;
    this.#plot = new uPlot(
      {
        width: 300,
        height,
        legend: { show: false },
        cursor: { drag: { x: false, y: false } },
        scales: {
          x: { range: (_plot, first, last) => atLeastAMinute(first, last) },
          y: { range: (_plot, _low, high) => [0, Math.max(lowest, high * 1.1)] },
        },
        axes: [
          {
            ...axis,
            space: 90,
            values: (_plot, times) => times.map((time) => timeLabel(time, (times[1] ?? time) - times[0]!)),
          },
          {
            ...axis,
            size: 78,
            ...(options.isBytes ? { incrs: powersOfTwo } : {}),
            values: (_plot, values) => values.map(options.format),
          },
        ],
        series: [{}, { stroke: paint("--accent"), fill: paint("--shade"), width: 2, points: { show: false } }],
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

  /** @param current the value now, as text; empty while nothing is measured */
  show(samples: readonly HistorySample[], current: string): void {
    const { label, value } = this.#options;
    this.#caption.replaceChildren(label, ...(current === "" ? [] : [": ", element("strong", {}, current)]));
    const newest = samples.at(-1)?.at ?? 0;
    if (newest === this.#drawn) return;
    this.#drawn = newest;
    this.#plot.setData([samples.map(({ at }) => at / 1000), samples.map(value)]);
  }

  close(): void {
    this.#resize.disconnect();
    this.#scheme.removeEventListener("change", this.#redraw);
    this.#plot.destroy();
  }
}

const powersOfTwo = Array.from({ length: 54 }, (_, exponent) => 2 ** exponent);

const day = new Intl.DateTimeFormat(locale, { month: "short", day: "numeric" });
const hour = new Intl.DateTimeFormat(locale, { month: "short", day: "numeric", hour: "numeric" });
const minute = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
const second = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit", second: "2-digit" });

/** @param step seconds between two labels */
function timeLabel(time: number, step: number): string {
  const format = step >= 86_400 ? day : step >= 10_800 ? hour : step >= 60 ? minute : second;
  return format.format(new Date(time * 1000));
}

/** Seconds since 1970; null before the first sample. */
function atLeastAMinute(first: number | null, last: number | null): [number, number] {
  const end = last ?? Date.now() / 1000;
  return [Math.min(first ?? end, end - 60), end];
}

/** The colour as the page shows it, because a canvas does not support `light-dark()`. */
function resolve(near: HTMLElement, colour: string): string {
  const probe = element("span");
  probe.style.color = colour;
  near.append(probe);
  const shown = getComputedStyle(probe).color;
  probe.remove();
  return shown;
}
