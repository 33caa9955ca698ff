import type { MigrationState, MigrationSubState } from "../status.js";
import type { Journal } from "../store/journal.js";

/** Where a database of an online migration stands, once the first are copied; some may have to wait for a slot. */
export type Stand = "copying" | "awaitsCutover" | "completing" | "cutOver" | "kept" | "failed" | "ended";

const said: readonly (readonly [Stand, MigrationState, MigrationSubState])[] = [
  ["awaitsCutover", "WaitingForUserAction", "WaitingForCutoverTrigger"],
  ["completing", "InProgress", "CompletingMigration"],
  ["copying", "InProgress", "MigratingData"],
  ["kept", "WaitingForUserAction", "WaitingForRollbackDecision"],
];

/**
 * What an online migration of several databases waits for: the cutover, while any of them does; then for those that are
 * cut over or returned just now, or still to be copied; then for the decision on the ways back. What some have failed by
 * is said beside it, while the others go on.
 */
export class Standing {
  /** Resolves when all have ended or failed. */
  readonly over: Promise<void>;
  readonly #stands = new Map<string, Stand>();
  #isOver: () => void = () => undefined;
  #last = "";
  #ended = false;

  /** @param failure what databases have failed by, at this moment */
  constructor(
    readonly journal: Journal,
    readonly failure: () => string | undefined,
  ) {
    this.over = new Promise((resolve) => (this.#isOver = resolve));
  }

  async begin(stands: readonly (readonly [database: string, stand: Stand])[]): Promise<void> {
    for (const [database, stand] of stands) this.#stands.set(database, stand);
    await this.#say();
  }

  async is(database: string, stand: Stand): Promise<void> {
    this.#stands.set(database, stand);
    await this.#say();
  }

  /** What a database comes to from now on must not be written over the migration's end. */
  end(): void {
    this.#ended = true;
  }

  async #say(): Promise<void> {
    const stands = [...this.#stands.values()];
    if (stands.every((stand) => stand === "ended" || stand === "failed")) this.#isOver();
    const first = said.find(([stand]) => stands.includes(stand));
    if (!first || this.#ended) return;
    const [stand, state, subState] = first;
    const failure = this.failure();
    const saying = JSON.stringify([stand, failure]);
    if (saying === this.#last) return;
    this.#last = saying;
    await this.journal.state(state, subState, failure);
  }
}
