import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import { sqlStateOf, sqlStates } from "../postgres/sql-state.js";
import { Store, type StoreAddress } from "../store/store.js";

/** The target's records through one session, made anew when it breaks; whoever asks waits for those before. */
export class Records {
  #store: Store | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(readonly address: StoreAddress) {}

  /** Runs with the records, or answers `nothing` where nobody has migrated into the target. */
  read<T>(nothing: T, run: (store: Store) => Promise<T>): Promise<T> {
    const result = this.#last.then(() => this.#run(nothing, run));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#forget();
  }

  async #run<T>(nothing: T, run: (store: Store) => Promise<T>): Promise<T> {
    this.#store ??= await Store.find(this.address, "dashboard");
    if (!this.#store) return nothing;
    try {
      return await run(this.#store);
    } catch (error) {
      const isGone = sqlStateOf(error) === sqlStates.undefinedTable;
      if (isGone || isConnectionLoss(error)) await this.#forget();
      // The last migration to be deleted takes the records' schema with it.
      if (isGone) return nothing;
      throw error;
    }
  }

  async #forget(): Promise<void> {
    const store = this.#store;
    this.#store = undefined;
    await store?.close().catch(() => undefined);
  }
}
