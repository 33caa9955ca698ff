import type { MigrationState, MigrationSubState } from "../status.js";
import type { Journal } from "../store/journal.js";

/** Where a database of an online migration stands, once the first are copied; some may have to wait for a slot. */
export type Stand = "copying" | "awaitsCutover" | "completing" | "kept" | "ended";

const said: readonly (readonly [Stand, MigrationState, MigrationSubState])[] = [
  ["awaitsCutover", "WaitingForUserAction", "WaitingForCutoverTrigger"],
  ["completing", "InProgress", "CompletingMigration"],
  ["copying", "InProgress", "MigratingData"],
  ["kept", "WaitingForUserAction", "WaitingForRollbackDecision"],
];

/**
 * What an online migration of several databases waits for: the cutover, while any of them does; then for those that are
 * cut over or returned just now, or still to be copied; then for the decision on the ways back.
 */
export class Standing {
  readonly #stands = new Map<string, Stand>();
  #last: Stand | undefined;
  #ended = false;

  constructor(readonly journal: Journal) {}

  async begin(databases: readonly string[], followed: Pick<ReadonlyMap<string, unknown>, "has">): Promise<void> {
    for (const name of databases) this.#stands.set(name, followed.has(name) ? "awaitsCutover" : "copying");
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
    const first = said.find(([stand]) => stands.includes(stand));
    if (!first || first[0] === this.#last || this.#ended) return;
    this.#last = first[0];
    await this.journal.state(first[1], first[2]);
  }
}
