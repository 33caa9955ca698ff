import type { MigrationResource } from "../../../display/migration-resource.js";
import type { HistorySample } from "../../messages.js";
import { Chart } from "../components/chart.js";
import { element } from "../components/element.js";
import { bytes, seconds } from "../components/format.js";
import { measuredLag, unknownSince } from "./lag.js";

const rate = (bytesPerSecond: number): string => `${bytes(bytesPerSecond)}/s`;

/** Charts of the copy rate and of the lag. */
export class HistoryPart {
  readonly root = element("section", { hidden: "" });
  #migration: MigrationResource | undefined;
  #samples: HistorySample[] = [];
  readonly #copy = new Chart({
    label: "Copy rate",
    value: (one) => one.bytesPerSecond,
    format: rate,
    isBytes: true,
  });
  readonly #bytesBehind = new Chart({
    label: "Bytes behind",
    value: (one) => one.lagBytes,
    format: bytes,
    isBytes: true,
  });
  readonly #secondsBehind = new Chart({
    label: "Seconds behind",
    value: (one) => one.latencySeconds,
    format: seconds,
    isBytes: false,
  });
  readonly #charts = [this.#copy, this.#bytesBehind, this.#secondsBehind];

  constructor() {
    const roots = this.#charts.map((chart) => chart.root);
    this.root.append(element("h2", {}, "History"), element("div", { class: "charts" }, ...roots));
  }

  showMigration(migration: MigrationResource): void {
    this.#migration = migration;
    this.#draw();
  }

  /** @param all whether the samples replace the earlier ones */
  add({ all, samples }: { readonly all: boolean; readonly samples: readonly HistorySample[] }): void {
    this.#samples = [...(all ? [] : this.#samples), ...samples];
    this.#draw();
  }

  close(): void {
    for (const chart of this.#charts) chart.close();
  }

  /** The current value of a chart is shown only while it is measured. */
  #draw(): void {
    if (!this.#migration) return;
    const { migrationMode, currentStatus } = this.#migration;
    const { currentSubStateDetails: details } = currentStatus;
    const databases = Object.values(details?.dbDetails ?? {});
    const last = this.#samples.at(-1);
    this.root.hidden = this.#samples.length < 2;
    const isCopying = details?.currentSubState === "MigratingData";
    this.#copy.show(this.#samples, isCopying && last ? rate(last.bytesPerSecond) : "");
    const lag = measuredLag(databases);
    const unknown = unknownSince(databases) === undefined ? "" : "unknown";
    this.#bytesBehind.show(this.#samples, lag ? bytes(lag.bytes) : unknown);
    this.#secondsBehind.show(this.#samples, lag ? seconds(lag.seconds) : unknown);
    for (const { root } of [this.#bytesBehind, this.#secondsBehind]) root.hidden = migrationMode === "Offline";
  }
}
