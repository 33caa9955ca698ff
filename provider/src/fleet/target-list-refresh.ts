import type { Target, TargetList } from "./target.js";

const everyMs = 30_000;

export interface TargetListRefreshOptions {
  readonly readTargets: () => Promise<TargetList>;
  /** Gets the targets of each list that was read. The former targets stay while the list cannot be read. */
  readonly reader: { setTargets(targets: readonly Target[]): void };
  readonly onRead: (list: TargetList) => void;
  readonly onFailure: (error: unknown) => void;
}

/** Reads a list of targets again every 30 seconds, for a reader of the targets. */
export class TargetListRefresh {
  #dueAt: number;

  /** @param isRead whether the reader has the targets already */
  constructor(
    readonly options: TargetListRefreshOptions,
    { isRead }: { readonly isRead: boolean },
  ) {
    this.#dueAt = isRead ? Date.now() + everyMs : 0;
  }

  /** Reads the list if that is due and not in progress. Never rejects. */
  async ifDue(): Promise<void> {
    if (Date.now() < this.#dueAt) return;
    this.#dueAt = Infinity;
    const { readTargets, reader, onRead, onFailure } = this.options;
    try {
      const list = await readTargets();
      reader.setTargets(list.targets);
      onRead(list);
    } catch (error) {
      onFailure(error);
    } finally {
      this.#dueAt = Date.now() + everyMs;
    }
  }
}
