import { SerialQueue } from "../async/serial-queue.js";
import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import { sqlStateOf, sqlStates } from "../postgres/sql-state.js";
import type { StoreAddress } from "../store/installation/records-database.js";
import { Store } from "../store/store.js";

/** The target's records, read through one session that is reopened after it breaks. Reads run one after another. */
export class Records {
  #store: Store | undefined;
  readonly #queue = new SerialQueue();
  readonly #shared = new Map<string, Promise<unknown>>();

  /** @param purpose shown in pg_stat_activity */
  constructor(
    readonly address: StoreAddress,
    readonly purpose: string,
  ) {}

  /** Returns `absent` if no migration was ever recorded on the target. */
  read<T>(absent: T, run: (store: Store) => Promise<T>): Promise<T> {
    return this.#queue.run(() => this.#run(absent, run));
  }

  /** Like {@link read}; concurrent reads with the same key share one result, so that the queue stays short. */
  readShared<T>(key: string, absent: T, run: (store: Store) => Promise<T>): Promise<T> {
    const pending = this.#shared.get(key) as Promise<T> | undefined;
    if (pending) return pending;
    const result = this.read(absent, run).finally(() => this.#shared.delete(key));
    this.#shared.set(key, result);
    return result;
  }

  async close(): Promise<void> {
    await this.#queue.idle();
    await this.#forget();
  }

  async #run<T>(absent: T, run: (store: Store) => Promise<T>): Promise<T> {
    this.#store ??= await Store.find(this.address, this.purpose);
    if (!this.#store) return absent;
    try {
      return await run(this.#store);
    } catch (error) {
      const isGone = sqlStateOf(error) === sqlStates.undefinedTable;
      if (isGone || isConnectionLoss(error)) await this.#forget();
      // Deleting the last migration drops the schema of the records.
      if (isGone) return absent;
      throw error;
    }
  }

  async #forget(): Promise<void> {
    const store = this.#store;
    this.#store = undefined;
    await store?.close().catch(() => undefined);
  }
}
