import type { MigrationState, MigrationSubState } from "../../status.js";
import type { Journal } from "../../store/journal.js";

/** Stage of a database of an online migration. */
export type DatabaseStage =
  "copying" | "awaitsCutover" | "awaitsWindow" | "completing" | "cutOver" | "kept" | "failed" | "ended";

const statesByPriority: readonly (readonly [DatabaseStage, MigrationState, MigrationSubState])[] = [
  ["awaitsCutover", "WaitingForUserAction", "WaitingForCutoverTrigger"],
  ["completing", "InProgress", "CompletingMigration"],
  ["copying", "InProgress", "MigratingData"],
  ["awaitsWindow", "InProgress", "WaitingForCutoverWindow"],
  ["kept", "WaitingForUserAction", "WaitingForRollbackDecision"],
];

/**
 * Derives the state of an online migration from the stages of its databases. The first of these applies: a database awaits
 * its cutover; one is completing; one is copying; one awaits its cutover window; one keeps its rollback replication. The errors of failed databases are
 * reported along with the state while the others continue.
 */
export class MigrationStateTracker {
  /** Resolves when all have ended or failed. */
  readonly over: Promise<void>;
  readonly #stages = new Map<string, DatabaseStage>();
  #isOver: () => void = () => undefined;
  #last = "";
  #ended = false;

  /** @param failure returns the errors of the failed databases so far */
  constructor(
    readonly journal: Journal,
    readonly failure: () => string | undefined,
  ) {
    this.over = new Promise((resolve) => (this.#isOver = resolve));
  }

  async begin(stages: readonly (readonly [database: string, stage: DatabaseStage])[]): Promise<void> {
    for (const [database, stage] of stages) this.#stages.set(database, stage);
    await this.#update();
  }

  async set(database: string, stage: DatabaseStage): Promise<void> {
    this.#stages.set(database, stage);
    await this.#update();
  }

  /** Later stage changes must not overwrite the migration's end state. */
  end(): void {
    this.#ended = true;
  }

  async #update(): Promise<void> {
    const stages = [...this.#stages.values()];
    if (stages.every((stage) => stage === "ended" || stage === "failed")) this.#isOver();
    const first = statesByPriority.find(([stage]) => stages.includes(stage));
    if (!first || this.#ended) return;
    const [stage, state, subState] = first;
    const failure = this.failure();
    const current = JSON.stringify([stage, failure]);
    if (current === this.#last) return;
    this.#last = current;
    await this.journal.state(state, subState, failure);
  }
}
