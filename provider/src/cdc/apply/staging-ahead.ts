import type { Client } from "pg";
import type { Answers, PipelinedQueries } from "../wire/pipelined-queries.js";
import type { BatchBuilder, BuiltBatch } from "./batch-builder.js";

/** The rows of the next batch, staged while the target still executed the current one. */
interface StagedBatch {
  readonly built: BuiltBatch;
  /** The number of its statements that were sent. */
  readonly statements: number;
  readonly answers: Promise<Answers>;
}

/**
 * Stages rows of the next batch while the target executes the current one: in temporary tables, after a savepoint. Nothing
 * depends on whether the staging is committed, or succeeds.
 */
export class StagingAhead {
  readonly #target: Client;
  readonly #queries: PipelinedQueries;
  readonly #builder: BatchBuilder;
  #staged: StagedBatch | undefined;

  constructor(target: Client, queries: PipelinedQueries, builder: BatchBuilder) {
    this.#target = target;
    this.#queries = queries;
    this.#builder = builder;
  }

  /** Sends the staging statements at the beginning of a batch, if there are any and nothing is staged yet. */
  send(built: BuiltBatch): void {
    if (this.#staged || this.#builder.staging.isCrowded) return;
    const first = built.statements.findIndex(({ stages }) => !stages);
    const statements = built.statements.slice(0, first);
    if (statements.length === 0 || !this.#builder.hasStaging(built.statements)) return;
    const all = [{ text: "SAVEPOINT ahead" }, ...statements.map(({ statement }) => statement)];
    this.#staged = { built, statements: statements.length, answers: this.#queries.make(all) };
  }

  /** Whether another batch than this one is staged. */
  hasOther(built: BuiltBatch | undefined): boolean {
    return this.#staged !== undefined && this.#staged.built !== built;
  }

  /** Returns the staged batch, which the caller then releases or rolls back. */
  take(): StagedBatch | undefined {
    const staged = this.#staged;
    this.#staged = undefined;
    return staged;
  }

  /** Removes the staged rows of a batch that is not applied next. Otherwise they would be staged twice. */
  async undo(): Promise<void> {
    const staged = this.take();
    if (!staged) return;
    await staged.answers;
    await this.rollBack(staged);
  }

  /** Waits for the answers, when the staged rows are rolled back together with the current batch. */
  async discard(): Promise<void> {
    await this.take()?.answers;
  }

  /** @throws the error of the savepoint itself: without the savepoint, the current batch is lost as well */
  async rollBack({ answers }: StagedBatch): Promise<void> {
    const { rows, error } = await answers;
    if (error && rows.length === 0) throw error;
    await this.#target.query("ROLLBACK TO SAVEPOINT ahead");
  }
}
