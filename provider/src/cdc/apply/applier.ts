import type { Client } from "pg";
import { RefusedError, TakenOverError, messageOf } from "../../errors.js";
import type { Lsn } from "../../postgres/lsn.js";
import { withoutSearchPath } from "../../postgres/search-path.js";
import { type BatchSegment, receivedChanges } from "../batch/transaction-buffer.js";
import { type MappingOptions, TableMappings } from "../binding/table-mapping.js";
import type { Divider } from "../division/divider.js";
import {
  type BatchCounts,
  type ChangeCounts,
  countOf,
  emptyBatch,
  sumBatches,
  type TableCounts,
} from "../model/change-counts.js";
import type { Change } from "../model/change.js";
import { isRetryable } from "../model/failure.js";
import { CoalesceFailed, ColumnAdded, RowMissing } from "../model/signals.js";
import { migrationRoles, type StreamRoles } from "../model/stream-roles.js";
import type { ValueForm } from "../model/value-form.js";
import { type Progress, advanceStatement, takenOver } from "../target/progress.js";
import type { ProgressStep } from "../target/progress-step.js";
import { type Statement, PipelinedQueries } from "../wire/pipelined-queries.js";
import { AppliedPosition } from "./applied-position.js";
import type { ApplyStrategies } from "./apply-strategies.js";
import { BatchBuilder, type BuiltBatch } from "./batch-builder.js";
import { StagingAhead } from "./staging-ahead.js";
import { statementFailure } from "./statement-failure.js";
import type { TableStatement } from "./table-statements.js";

export interface ApplierOptions extends MappingOptions {
  readonly migration: string;
  readonly generation: number;
  readonly progress: Progress;
  readonly tableProgress: TableCounts;
  readonly form: ValueForm;
  /** The statement that records the progress; by default {@link advanceStatement}. */
  readonly advance?: (step: ProgressStep) => Statement;
  /** The tables that the changes belong to; by default those that this session reads. */
  readonly mappings?: TableMappings;
  /** Changes of a batch are applied one by one, for the given reason. */
  readonly onOrderedBatch: (reason: string) => void;
  /**
   * Receives segments that are no longer needed, in the order of their arrival. They are durable, or part of the target's open
   * transaction.
   */
  readonly onDone?: (segments: readonly BatchSegment[]) => void;
}

/** Segments to apply together, with their statements if these were built in advance. */
export interface Batch {
  readonly segments: readonly BatchSegment[];
  readonly built?: BuiltBatch | undefined;
  /** How several sessions apply the batch; undefined if one session applies it. */
  readonly division?: { readonly divider: Divider; readonly shares: readonly (Batch | undefined)[] };
}

/** A transaction on the target that only needs its COMMIT. */
interface Complete {
  readonly segments: readonly BatchSegment[];
  /** Whether the transaction began with an earlier batch. */
  readonly isContinuation: boolean;
  readonly step: ProgressStep;
}

/** A batch whose coalesced changes the target refused. */
interface RefusedBatch {
  readonly segments: readonly BatchSegment[];
  readonly changes: readonly Change[];
  readonly step: ProgressStep | undefined;
  readonly tried: ApplyStrategies;
  readonly failure: CoalesceFailed;
}

/**
 * Writes batches to the target, each in one transaction together with its progress. A batch that ends inside a transaction of
 * the source leaves the target's transaction open, and the next batch continues it.
 *
 * A batch is sent in one round trip. Its COMMIT follows when all answers are correct. If the next batch is ready, the COMMIT is
 * sent in front of it, so that a backlog needs one round trip for each batch. Meanwhile the target already stages rows of the
 * next batch.
 *
 * After an error the session is not usable: the caller ends it and reads the progress again.
 */
export class Applier {
  readonly #target: Client;
  readonly #options: ApplierOptions;
  readonly #builder: BatchBuilder;
  readonly #queries: PipelinedQueries;
  readonly #ahead: StagingAhead;
  readonly #position: AppliedPosition;
  /** Whether the target's transaction is in the middle of a transaction of the source. */
  #isPartial = false;
  #complete: Complete | undefined;
  /** Whether a batch was sent as it was built, and is not answered yet: the next one may be staged after it. */
  #isSent = false;
  /** Changes of the target's open transaction. */
  #uncommitted = emptyBatch;

  constructor(target: Client, options: ApplierOptions) {
    this.#target = target;
    this.#options = options;
    this.#builder = new BatchBuilder(
      target,
      options.form,
      options.mappings ?? new TableMappings(target, options.form, options),
    );
    this.#queries = new PipelinedQueries(target);
    this.#ahead = new StagingAhead(target, this.#queries, this.#builder);
    this.#position = new AppliedPosition(options.progress, options.tableProgress);
  }

  /** The tables that this session has read. */
  get mappings(): TableMappings {
    return this.#builder.mappings;
  }

  get #roles(): StreamRoles {
    return this.#options.parts ?? migrationRoles;
  }

  /** Start of the commit record of the last transaction that is durable on the target. */
  get lastCommitLsn(): Lsn {
    return this.#position.lastCommitLsn;
  }

  /** Everything that committed on the source at or before this LSN is durable on the target. */
  get appliedThroughLsn(): Lsn {
    return this.#position.appliedThroughLsn;
  }

  /** Changes that all workers have applied since the start of the migration. */
  get counts(): ChangeCounts {
    return this.#position.counts;
  }

  /** The same by table, as a map that later batches extend. */
  get tableCounts(): TableCounts {
    return this.#position.tables;
  }

  /** Whether the target has an uncommitted transaction. */
  get inTransaction(): boolean {
    return this.#isPartial || this.#complete !== undefined;
  }

  /** Whether {@link commit} has a transaction to commit. */
  get hasToCommit(): boolean {
    return this.#complete !== undefined;
  }

  /** Whether {@link apply} must continue a transaction of the source. */
  get isWithinTransaction(): boolean {
    return this.#isPartial;
  }

  /** Changes in the target's open transaction, including those of the current batch; 0 between two transactions. */
  get uncommittedChanges(): number {
    const { inserts, updates, deletes, truncates } = this.#uncommitted.all;
    return this.inTransaction ? inserts + updates + deletes + truncates : 0;
  }

  /**
   * Builds the statements of a batch while the target executes the previous one. It leaves them unbuilt if the target must be
   * queried for a table first. If they cannot be built, {@link apply} reports the error of this batch.
   */
  prepare(segments: readonly BatchSegment[]): Batch {
    const changes = changesOf(segments);
    if (!this.#builder.knowsTables(changes)) return { segments };
    try {
      return { segments, built: this.#builder.build(segments, changes) };
    } catch {
      return { segments };
    }
  }

  /** Stages rows of the next batch, while the target executes the current one. */
  stageAhead({ built }: Batch): void {
    if (built && this.#isSent) this.#ahead.send(built);
  }

  /**
   * Applies a batch.
   *
   * @param isFollowed called when all is applied: whether the next batch comes immediately, so that COMMIT can be sent with it
   * @throws ContentDiffersError if the target has no row for a change, or refuses the change in the source's order too. Its
   * message shows values only in text form.
   * @throws TextFormatRequired if a table of the target needs values in text form
   * @throws RefusedError if the target's tables do not fit
   * @throws TakenOverError if another worker has taken over
   */
  async apply({ segments, built }: Batch, isFollowed: () => boolean = () => false): Promise<void> {
    if (built) await this.#applyFitting(segments, built);
    else await this.#applyUnbuilt(segments);
    if (!isFollowed()) await this.commit();
  }

  /** Commits the transaction that {@link apply} left open. @throws the errors of {@link apply} */
  async commit(): Promise<void> {
    const complete = this.#complete;
    if (!complete) return;
    try {
      await this.#commit();
    } catch (error) {
      await this.#applySeparately(complete, error);
    }
  }

  /** Records that the source has no replicated changes up to `lsn`. */
  async advanceIdlePosition(lsn: Lsn): Promise<void> {
    if (lsn <= this.#position.appliedThroughLsn) return;
    this.#uncommitted = emptyBatch;
    await this.#advanceOnly([], this.#stepTo(this.#position.lastCommitEndLsn, lsn, undefined));
  }

  /** Records a batch whose changes the apply sessions have applied. */
  async advanceAfter(segments: readonly BatchSegment[]): Promise<void> {
    this.#uncommitted = countOfReceived(segments);
    const { lsn, commitTimeMs } = segments.at(-1)!.end!;
    await this.#advanceOnly(segments, this.#stepTo(lsn, lsn, commitTimeMs));
  }

  async #advanceOnly(segments: readonly BatchSegment[], step: ProgressStep): Promise<void> {
    await this.#send([plain("BEGIN")], [], step);
    this.#complete = { segments, isContinuation: false, step };
    await this.#commit();
  }

  async #applyUnbuilt(segments: readonly BatchSegment[]): Promise<void> {
    // Reading the target's tables needs no open transaction. After failed staging, the target would refuse the queries.
    await this.commit();
    await this.#ahead.undo();
    const misfit = this.#builder.knowsTables(changesOf(segments))
      ? undefined
      : await withoutSearchPath(this.#target, () => this.#builder.mapTables(segments));
    const fitting = misfit ? segments.slice(0, misfit.index) : segments;
    // Apply the transactions from before the ALTER TABLE of the source first. Then the target's table can be altered.
    if (fitting.length > 0) await this.#applyFitting(fitting, undefined);
    if (!misfit) return;
    await this.commit();
    throw misfit.error;
  }

  async #applyFitting(segments: readonly BatchSegment[], built: BuiltBatch | undefined): Promise<void> {
    const isContinuation = this.#isPartial;
    const { staging } = this.#builder;
    if (!isContinuation && staging.isCrowded) {
      await this.commit();
      await staging.drop();
    }
    const former = this.#complete;
    try {
      await this.#applyTogether(segments, built);
    } catch (error) {
      if (!former || this.#complete !== former) {
        await this.#applySeparately({ segments, isContinuation }, error);
        return;
      }
      // The COMMIT of the former batch failed. The server has executed no statement of this batch.
      await this.#applySeparately(former, error);
      await this.#applyFitting(segments, undefined);
    }
  }

  /** Applies the transactions before the refused one, because the target may be altered for what follows. */
  async #applySeparately({ segments, isContinuation }: Omit<Complete, "step">, error: unknown): Promise<void> {
    if (isContinuation || segments.length === 1 || isRetryable(error) || error instanceof TakenOverError) throw error;
    await this.#target.query("ROLLBACK");
    await this.#builder.staging.drop();
    this.#isPartial = false;
    this.#complete = undefined;
    for (const segment of segments) {
      await this.#applyTogether([segment], undefined);
      await this.#commit();
    }
  }

  async #applyTogether(segments: readonly BatchSegment[], known: BuiltBatch | undefined): Promise<void> {
    // Do not await unless necessary: until this batch is sent, the target is idle.
    if (this.#ahead.hasOther(known)) await this.#ahead.undo();
    const staged = this.#ahead.take();
    const changes = changesOf(segments);
    const { end } = segments.at(-1)!;
    const isContinuation = this.#isPartial;
    const uncommitted = isContinuation ? this.#uncommitted : emptyBatch;
    // An apply session does not count its share: the progress row counts the batch.
    if (!this.#options.advance) this.#uncommitted = sumBatches(uncommitted, countOfReceived(segments));
    const step = end && this.#stepTo(end.lsn, end.lsn, end.commitTimeMs);
    const built = known ?? this.#builder.build(segments, changes);
    const begin = isContinuation ? [plain("RELEASE SAVEPOINT batch")] : [...this.#commitFirst(), plain("BEGIN")];
    // If staging has failed, RELEASE fails, and the server skips everything after it: the COMMIT and this batch.
    const release = staged ? [plain("RELEASE SAVEPOINT ahead")] : [];
    const before = [...release, ...begin, ...this.#builder.createStaging(built.statements), plain("SAVEPOINT batch")];
    this.#isPartial = this.#isSent = true;
    try {
      const remaining = built.statements.slice(staged?.statements);
      await this.#send(before, remaining, step).finally(() => (this.#isSent = false));
    } catch (error) {
      await this.#ahead.discard();
      if (staged && (await staged.answers).error) {
        await this.#ahead.rollBack(staged);
        this.#isPartial = isContinuation;
        this.#uncommitted = uncommitted;
        return this.#applyTogether(segments, known);
      }
      if (!(error instanceof CoalesceFailed)) throw error;
      await this.#applyOtherwise({ segments, changes, step, tried: built.strategies, failure: error });
    }
    this.#isPartial = step === undefined;
    if (step) this.#complete = { segments, isContinuation, step };
    else this.#options.onDone?.(segments);
  }

  /** Constraints that are checked for each row may refuse coalesced changes that succeed in the source's order. */
  async #applyOtherwise(batch: RefusedBatch): Promise<void> {
    const { segments, changes, step, tried, failure } = batch;
    const strategies = tried.afterRefusal(failure.table, failure.cause);
    if (!strategies) throw failure.cause;
    if (strategies.anySequential && !tried.anySequential) this.#options.onOrderedBatch(messageOf(failure.cause));
    this.#builder.replaceUpdates(strategies.replaced);
    this.#builder.staging.emptyFirst();
    const statements = this.#builder.buildWith(strategies, segments, changes);
    const again = ["ROLLBACK TO SAVEPOINT batch", "RELEASE SAVEPOINT batch"].map(plain);
    const savepoint = ["SAVEPOINT batch", "SET CONSTRAINTS ALL DEFERRED"].map(plain);
    const before = [...again, ...this.#builder.createStaging(statements), ...savepoint];
    try {
      await this.#send(before, statements, step, segments);
    } catch (error) {
      if (!(error instanceof CoalesceFailed)) throw error;
      await this.#applyOtherwise({ ...batch, tried: strategies, failure: error });
    }
  }

  #stepTo(lastCommitEndLsn: Lsn, appliedThroughLsn: Lsn, commitTimeMs: number | undefined): ProgressStep {
    const { migration, generation } = this.#options;
    return {
      ...{ migration, generation, from: this.#complete?.step.appliedThroughLsn ?? this.#position.appliedThroughLsn },
      ...{ lastCommitEndLsn, appliedThroughLsn, commitTimeMs, counts: this.#uncommitted },
    };
  }

  /**
   * @param sequential the batch, if changes of it are applied in the source's order: its refused change is described then
   * @throws CoalesceFailed if coalesced changes fail that may succeed in the source's order
   * @throws TakenOverError if another worker has taken over
   * @throws the target's errors
   */
  async #send(
    before: readonly Statement[],
    statements: readonly TableStatement[],
    step: ProgressStep | undefined,
    sequential?: readonly BatchSegment[],
  ): Promise<void> {
    const all = [...before, ...statements.map(({ statement }) => statement), ...(step ? [this.#advance(step)] : [])];
    const former = this.#complete;
    const { rows, error } = await this.#queries.make(all);
    if (former && this.#complete === former) throw error ?? rolledBack(this.#roles);
    for (const [index, statement] of statements.entries()) {
      const found = rows[before.length + index];
      if (found === undefined || statement.rows === undefined || found === statement.rows) continue;
      const place = `${statement.binding!.name} on the ${this.#roles.subscriber}`;
      if (statement.findsAddedColumns) throw new ColumnAdded(`${place} has a new column`);
      const missing = new RowMissing(`${found} of ${statement.rows} rows were found in ${place}`);
      throw statementFailure(statement, missing, this.#roles, sequential);
    }
    if (error) throw statementFailure(statements[rows.length - before.length], error, this.#roles, sequential);
    if (step && rows.at(-1) !== 1) throw takenOver(step);
  }

  #advance(step: ProgressStep): Statement {
    return (this.#options.advance ?? advanceStatement)(step);
  }

  /** The COMMIT of the last transaction starts a round trip. The statements after it form the next transaction. */
  #commitFirst(): Statement[] {
    const complete = this.#complete;
    if (!complete) return [];
    return [{ text: "COMMIT", onDone: (tag) => tag === "COMMIT" && this.#committed(complete) }];
  }

  async #commit(): Promise<void> {
    const complete = this.#complete;
    if (!complete) return;
    await this.#ahead.undo();
    const { command } = await this.#target.query("COMMIT");
    if (command !== "COMMIT") throw rolledBack(this.#roles);
    this.#committed(complete);
  }

  #committed({ segments, step }: Complete): void {
    this.#complete = undefined;
    this.#position.advance(step, segments.at(-1)?.transaction.commitLsn);
    this.#options.onDone?.(segments);
  }
}

const rolledBack = ({ subscriber }: StreamRoles): RefusedError =>
  new RefusedError(`the ${subscriber} rolled back a batch of changes instead of committing it`);

const plain = (text: string): Statement => ({ text });

const countOfReceived = (segments: readonly BatchSegment[]): BatchCounts => countOf(segments.map(receivedChanges));

/** A loop, because flatMap takes ten times as long over thousands of small segments. */
function changesOf(segments: readonly BatchSegment[]): Change[] {
  const all: Change[] = [];
  for (const { changes } of segments) for (const change of changes) all.push(change);
  return all;
}
