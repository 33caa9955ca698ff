import type { Client } from "pg";
import { RefusedError, TakenOverError, messageOf } from "../../errors.js";
import type { Lsn } from "../../postgres/lsn.js";
import { type TableStatement, type ApplyPaths, statementsFor } from "./table-statements.js";
import { type TableMapping, TableMappings } from "../binding/table-mapping.js";
import { type ChangeCounts, countOf, noChanges, sum } from "../model/change-counts.js";
import { changeFailure } from "./change-refused.js";
import type { Change, Relation, Truncate } from "../model/change.js";
import { isRetryable } from "../model/failure.js";
import { CoalesceFailed, requiresSourceOrder } from "./coalesce-failed.js";
import { coalesce } from "../batch/coalesce.js";
import type { BatchSegment } from "../batch/transaction-buffer.js";
import { type Progress, type ProgressStep, advanceStatement, takenOver } from "../target/progress.js";
import { type Answers, type Statement, PipelinedQueries } from "../wire/pipelined-queries.js";
import { migrationRoles, type StreamRoles } from "../model/stream-roles.js";
import { RowMissing } from "./row-missing.js";
import { RowStatements } from "./row-statements.js";
import { Staging } from "./staging.js";
import { ApplyStrategies } from "./apply-strategies.js";
import { truncateFailure } from "./truncate-refused.js";
import type { ValueForm } from "../model/value-form.js";
import { valueFailure } from "./value-failure.js";

export interface ApplierOptions {
  readonly migration: string;
  readonly generation: number;
  readonly progress: Progress;
  readonly form: ValueForm;
  /** As messages name the servers; a migration's by default. */
  readonly parts?: StreamRoles | undefined;
  /** A batch went in change by change, because of what is said. */
  readonly onOrderedBatch: (reason: string) => void;
  /**
   * These are needed no more, in the order in which they came: durable, or part of a transaction that is open on the
   * target.
   */
  readonly onDone?: (segments: readonly BatchSegment[]) => void;
}

/** Segments to apply together, and what does it where that was built already. */
export interface Batch {
  readonly segments: readonly BatchSegment[];
  readonly built?: Built | undefined;
}

interface Built {
  readonly actions: readonly TableStatement[];
  readonly strategies: ApplyStrategies;
}

/** A constraint that was in the way of folded changes is likely to be so in the batches behind. */
const batchesReplaced = 20;

/** A target's transaction to which nothing is left to do but its COMMIT. */
interface Complete {
  readonly segments: readonly BatchSegment[];
  /** It began with a batch before. */
  readonly goesOn: boolean;
  readonly step: ProgressStep;
}

/** What a batch stages first, sent while the target was still at work on the one before. */
interface StagedAhead {
  readonly built: Built;
  readonly actions: readonly TableStatement[];
  readonly answers: Promise<Answers>;
}

/**
 * Writes batches to the target, each in one transaction with the progress that it makes. A batch that ends inside a
 * transaction of the source leaves the target's open; the next one goes on in it. All of a batch goes out in one round
 * trip, and its COMMIT when the answers are as they must be: in front of the next batch where that is ready, so that a
 * backlog costs one round trip a batch, else by itself. Meanwhile the target is busy with what the next one stages, in
 * temporary tables and behind a savepoint: nothing depends on whether that is committed, or even possible.
 *
 * After an error the session is of no use any more: the caller ends it and reads the progress anew.
 */
export class Applier {
  readonly #target: Client;
  readonly #options: ApplierOptions;
  readonly #bindings: TableMappings;
  readonly #paths: ApplyPaths;
  readonly #queries: PipelinedQueries;
  #lastCommitLsn: Lsn;
  #lastCommitEndLsn: Lsn;
  #appliedThroughLsn: Lsn;
  /** In the middle of a transaction of the source. */
  #isPartial = false;
  #complete: Complete | undefined;
  /** A batch is sent as it was built, and has not been answered: the next one may be staged behind it. */
  #isSent = false;
  #ahead: StagedAhead | undefined;
  /** Tables whose updated rows are replaced, and for how many batches more. */
  readonly #replaced = new Map<string, number>();
  /** Of all that is durable on the target. */
  #counts: ChangeCounts;
  /** Of the open transaction. */
  #uncommitted = noChanges;

  constructor(target: Client, options: ApplierOptions) {
    this.#target = target;
    this.#options = options;
    this.#bindings = new TableMappings(target, options.form, options.parts);
    this.#paths = { staging: new Staging(target, options.form), single: new RowStatements(options.form) };
    this.#queries = new PipelinedQueries(target);
    this.#lastCommitEndLsn = options.progress.lastCommitEndLsn;
    // The progress row knows only the end of that record, and no bound lies inside it.
    this.#lastCommitLsn = this.#lastCommitEndLsn - 1n;
    this.#appliedThroughLsn = options.progress.appliedThroughLsn;
    this.#counts = options.progress.counts;
  }

  get #parts(): StreamRoles {
    return this.#options.parts ?? migrationRoles;
  }

  /** Where the commit record of the source's last transaction begins that is durable on the target. */
  get lastCommitLsn(): Lsn {
    return this.#lastCommitLsn;
  }

  /** Everything that committed on the source at or before is durable on the target. */
  get appliedThroughLsn(): Lsn {
    return this.#appliedThroughLsn;
  }

  /** What was applied since the migration's begin, by every worker. */
  get counts(): ChangeCounts {
    return this.#counts;
  }

  /** Something is applied that is not committed. */
  get inTransaction(): boolean {
    return this.#isPartial || this.#complete !== undefined;
  }

  /** {@link commit} has something to do. */
  get hasToCommit(): boolean {
    return this.#complete !== undefined;
  }

  /** Changes that the target has taken without its COMMIT, the batch in hand included; 0 between two transactions. */
  get uncommittedChanges(): number {
    const { inserts, updates, deletes, truncates } = this.#uncommitted;
    return this.inTransaction ? inserts + updates + deletes + truncates : 0;
  }

  /**
   * Builds what {@link apply} sends, while the target is busy with the batch before; as it is when the target has to be
   * asked about a table first, or when it cannot be built: that is for its own turn to tell, not for the one in hand.
   */
  prepare(segments: readonly BatchSegment[]): Batch {
    const changes = changesOf(segments);
    if (!changes.every((change) => this.#knows(change))) return { segments };
    try {
      return { segments, built: this.#build(segments, changes) };
    } catch {
      return { segments };
    }
  }

  /** Has the target stage what it can of the batch that will come next, behind the one that is at work there. */
  stageAhead({ built }: Batch): void {
    if (!built || !this.#isSent || this.#ahead || this.#paths.staging.isCrowded) return;
    const first = built.actions.findIndex(({ stages }) => !stages);
    const actions = built.actions.slice(0, first);
    if (actions.length === 0 || !this.#paths.staging.hasMade(stagedBy(built.actions))) return;
    const statements = [plain("SAVEPOINT ahead"), ...actions.map(({ statement }) => statement)];
    this.#ahead = { built, actions, answers: this.#queries.make(statements) };
  }

  /**
   * @param isFollowed asked when all is applied: whether the next batch comes at once, so that COMMIT may wait for it
   * @throws ContentDiffersError when the target has no row for a change or refuses it in the source's order too; what it says
   * of values can be read where they are in text form
   * @throws TextFormatRequired when the target's tables take no values in binary form
   * @throws RefusedError when the target's tables do not fit
   * @throws TakenOverError when another worker has gone on
   */
  async apply({ segments, built }: Batch, isFollowed: () => boolean = () => false): Promise<void> {
    if (built) await this.#applyFitting(segments, built);
    else await this.#applyUnbuilt(segments);
    if (!isFollowed()) await this.commit();
  }

  /** Commits what {@link apply} has left for it; as it throws. */
  async commit(): Promise<void> {
    const complete = this.#complete;
    if (!complete) return;
    try {
      await this.#commit();
    } catch (error) {
      await this.#applyApart(complete, error);
    }
  }

  async #applyUnbuilt(segments: readonly BatchSegment[]): Promise<void> {
    // The target is asked for its tables, for which nothing need wait; where staging has failed, it would refuse.
    await this.commit();
    await this.#undoAhead();
    const misfit = await this.#bindAll(segments);
    const fitting = misfit ? segments.slice(0, misfit.place) : segments;
    // What came before the source's table was altered has to go in before the target's can be.
    if (fitting.length > 0) await this.#applyFitting(fitting, undefined);
    if (!misfit) return;
    await this.commit();
    throw misfit.error;
  }

  async #applyFitting(batch: readonly BatchSegment[], built: Built | undefined): Promise<void> {
    const goesOn = this.#isPartial;
    if (!goesOn && this.#paths.staging.isCrowded) {
      await this.commit();
      await this.#paths.staging.drop();
    }
    const former = this.#complete;
    try {
      await this.#applyTogether(batch, built);
    } catch (error) {
      if (!former || this.#complete !== former) {
        await this.#applyApart({ segments: batch, goesOn }, error);
        return;
      }
      // It was the former batch's COMMIT that failed; nothing of this one was executed.
      await this.#applyApart(former, error);
      await this.#applyFitting(batch, undefined);
    }
  }

  /** What came before the transaction that the target refuses has to go in: the target may be altered for what follows. */
  async #applyApart({ segments, goesOn }: Omit<Complete, "step">, error: unknown): Promise<void> {
    if (goesOn || segments.length === 1 || isRetryable(error) || error instanceof TakenOverError) throw error;
    await this.#target.query("ROLLBACK");
    await this.#paths.staging.drop();
    this.#isPartial = false;
    this.#complete = undefined;
    for (const segment of segments) {
      await this.#applyTogether([segment], undefined);
      await this.#commit();
    }
  }

  async #applyTogether(batch: readonly BatchSegment[], built: Built | undefined): Promise<void> {
    // Awaited only then: the target has nothing to do before this batch is sent, while the caller builds the next one.
    if (this.#ahead && this.#ahead.built !== built) await this.#undoAhead();
    const staged = this.#ahead;
    this.#ahead = undefined;
    const changes = changesOf(batch);
    const { end } = batch.at(-1)!;
    const goesOn = this.#isPartial;
    const uncommitted = goesOn ? this.#uncommitted : noChanges;
    this.#uncommitted = sum(uncommitted, countOf(changes));
    const step = end && this.#stepTo(end.lsn, end.lsn, end.commitTimeMs);
    const { actions, strategies } = built ?? this.#build(batch, changes);
    const begin = goesOn ? [plain("RELEASE SAVEPOINT batch")] : [...this.#commitFirst(), plain("BEGIN")];
    // Fails where staging has failed, and nothing behind it is executed then: neither the COMMIT nor anything of this batch.
    const release = staged ? [plain("RELEASE SAVEPOINT ahead")] : [];
    const before = [...release, ...begin, ...this.#makeStaging(actions), plain("SAVEPOINT batch")];
    this.#isPartial = this.#isSent = true;
    try {
      await this.#send(before, actions.slice(staged?.actions.length), step).finally(() => (this.#isSent = false));
    } catch (error) {
      await this.#forgetAhead();
      if (staged && (await staged.answers).error) {
        await this.#rollBackTo(staged);
        this.#isPartial = goesOn;
        this.#uncommitted = uncommitted;
        return this.#applyTogether(batch, built);
      }
      if (!(error instanceof CoalesceFailed)) throw error;
      await this.#applyOtherwise(batch, changes, step, strategies, error);
    }
    this.#isPartial = step === undefined;
    if (step) this.#complete = { segments: batch, goesOn, step };
    else this.#options.onDone?.(batch);
  }

  /** For another batch than comes now: staged once more, its rows would be there twice. */
  async #undoAhead(): Promise<void> {
    const ahead = this.#ahead;
    if (!ahead) return;
    await this.#forgetAhead();
    await this.#rollBackTo(ahead);
  }

  /** @throws what the savepoint itself has failed by: then there is none, and what came before it is lost with it */
  async #rollBackTo({ answers }: StagedAhead): Promise<void> {
    const { rows, error } = await answers;
    if (error && rows.length === 0) throw error;
    await this.#target.query("ROLLBACK TO SAVEPOINT ahead");
  }

  /** For where it is rolled back with the batch before. */
  async #forgetAhead(): Promise<void> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    await ahead?.answers;
  }

  /** Constraints that look at a table between two rows may refuse folded changes which the source's order allows. */
  async #applyOtherwise(
    batch: readonly BatchSegment[],
    changes: readonly Change[],
    step: ProgressStep | undefined,
    tried: ApplyStrategies,
    refused: CoalesceFailed,
  ): Promise<void> {
    const strategies = tried.afterRefusal(refused.table, refused.cause);
    if (!strategies) throw refused.cause;
    if (strategies.anySequential && !tried.anySequential) this.#options.onOrderedBatch(messageOf(refused.cause));
    for (const table of strategies.replaced) this.#replaced.set(table, batchesReplaced);
    this.#paths.staging.emptyFirst();
    const actions = this.#actionsFor(batch, changes, strategies);
    const again = ["ROLLBACK TO SAVEPOINT batch", "RELEASE SAVEPOINT batch"].map(plain);
    const before = [...this.#makeStaging(actions), ...["SAVEPOINT batch", "SET CONSTRAINTS ALL DEFERRED"].map(plain)];
    try {
      await this.#send([...again, ...before], actions, step, batch);
    } catch (error) {
      if (!(error instanceof CoalesceFailed)) throw error;
      await this.#applyOtherwise(batch, changes, step, strategies, error);
    }
  }

  /** Notes that the source has nothing for us up to `lsn`. */
  async advanceIdlePosition(lsn: Lsn): Promise<void> {
    if (lsn <= this.#appliedThroughLsn) return;
    this.#uncommitted = noChanges;
    const step = this.#stepTo(this.#lastCommitEndLsn, lsn, undefined);
    await this.#send([plain("BEGIN")], [], step);
    this.#complete = { segments: [], goesOn: false, step };
    await this.#commit();
  }

  #stepTo(lastCommitEndLsn: Lsn, appliedThroughLsn: Lsn, commitTimeMs: number | undefined): ProgressStep {
    const { migration, generation } = this.#options;
    return {
      ...{ migration, generation, from: this.#complete?.step.appliedThroughLsn ?? this.#appliedThroughLsn },
      ...{ lastCommitEndLsn, appliedThroughLsn, commitTimeMs, counts: this.#uncommitted },
    };
  }

  /**
   * @param inOrder the batch of which changes are applied as they came: one that fails is named then
   * @throws CoalesceFailed when folded changes fail as they may not one by one
   * @throws whatever else the target answers, and TakenOverError when it is not what must be
   */
  async #send(
    before: readonly Statement[],
    actions: readonly TableStatement[],
    step: ProgressStep | undefined,
    inOrder?: readonly BatchSegment[],
  ): Promise<void> {
    const failure = (action: TableStatement | undefined, cause: Error): Error => {
      const said = action?.binding ? valueFailure(action.binding, this.#parts, cause) : cause;
      if (inOrder && action?.change) return changeFailure(action.change, inOrder, this.#parts, said);
      return requiresSourceOrder(said) ? new CoalesceFailed(action?.binding?.name, said) : said;
    };
    const statements = [
      ...before,
      ...actions.map(({ statement }) => statement),
      ...(step ? [advanceStatement(step)] : []),
    ];
    const former = this.#complete;
    const { rows, error } = await this.#queries.make(statements);
    if (former && this.#complete === former) throw error ?? rolledBack(this.#parts);
    for (const [place, action] of actions.entries()) {
      const found = rows[before.length + place];
      if (found === undefined || action.rows === undefined || found === action.rows) continue;
      throw failure(action, new RowMissing(`${found} of ${action.rows} rows of ${action.binding!.name} were there`));
    }
    const refused = actions[rows.length - before.length];
    if (error) throw failure(refused, truncateFailure(refused?.statement, error));
    if (step && rows.at(-1) !== 1) throw takenOver(step);
  }

  /** For the front of a round trip: what stands behind it belongs to the next transaction. */
  #commitFirst(): Statement[] {
    const complete = this.#complete;
    if (!complete) return [];
    return [{ text: "COMMIT", onDone: (tag) => tag === "COMMIT" && this.#committed(complete) }];
  }

  async #commit(): Promise<void> {
    const complete = this.#complete;
    if (!complete) return;
    await this.#undoAhead();
    const { command } = await this.#target.query("COMMIT");
    if (command !== "COMMIT") throw rolledBack(this.#parts);
    this.#committed(complete);
  }

  #committed({ segments, step }: Complete): void {
    this.#complete = undefined;
    this.#counts = sum(this.#counts, step.counts);
    this.#lastCommitEndLsn = step.lastCommitEndLsn;
    this.#lastCommitLsn = segments.at(-1)?.transaction.commitLsn ?? this.#lastCommitLsn;
    this.#appliedThroughLsn = step.appliedThroughLsn;
    this.#options.onDone?.(segments);
  }

  /** Answers the first segment with a change that the target's tables do not fit, and why. */
  async #bindAll(batch: readonly BatchSegment[]): Promise<{ place: number; error: unknown } | undefined> {
    for (const [place, { changes }] of batch.entries())
      for (const change of changes) {
        if (this.#knows(change)) continue;
        const relations = change.kind === "truncate" ? change.relations : [change.relation];
        try {
          for (const relation of relations) if (!this.#bindings.knows(relation)) await this.#bindings.bind(relation);
        } catch (error) {
          return { place, error };
        }
      }
    return undefined;
  }

  #knows(change: Change): boolean {
    return change.kind === "truncate"
      ? change.relations.every((relation) => this.#bindings.knows(relation))
      : this.#bindings.knows(change.relation);
  }

  #build(batch: readonly BatchSegment[], changes: readonly Change[]): Built {
    const strategies = ApplyStrategies.replacing(this.#replaced.keys());
    for (const [table, left] of this.#replaced)
      if (left > 1) this.#replaced.set(table, left - 1);
      else this.#replaced.delete(table);
    return { actions: this.#actionsFor(batch, changes, strategies), strategies };
  }

  #actionsFor(
    batch: readonly BatchSegment[],
    changes: readonly Change[],
    strategies: ApplyStrategies,
  ): TableStatement[] {
    const bindingOf = (change: { readonly relation: Relation }): TableMapping => this.#bindings.of(change.relation);
    const actions = coalesce(changes, bindingOf, (binding) => strategies.of(binding) === "sequential").flatMap(
      (step) =>
        step.kind === "truncate"
          ? this.#truncate(step.truncate, strategies.allSequential)
          : step.tables.flatMap((table) =>
              statementsFor(this.#paths, table, strategies.of(table.binding) === "replaced"),
            ),
    );
    const isLast = batch.at(-1)!.end !== undefined;
    return isLast ? [...actions, ...this.#paths.staging.thinOut().map((statement) => ({ statement }))] : actions;
  }

  #makeStaging(actions: readonly TableStatement[]): Statement[] {
    return this.#paths.staging.make(stagedBy(actions));
  }

  #truncate({ relations, restartIdentity }: Truncate, byDelete: boolean): TableStatement[] {
    // The source lists every table that was emptied, those reached by CASCADE too: cascading anew could reach others.
    const names = [...new Set(relations.map((relation) => this.#bindings.of(relation).only))];
    if (byDelete) return names.map((name) => ({ statement: plain(`DELETE FROM ${name}`) }));
    return [{ statement: plain(`TRUNCATE ${names.join(", ")}${restartIdentity ? " RESTART IDENTITY" : ""}`) }];
  }
}

const rolledBack = ({ subscriber }: StreamRoles): RefusedError =>
  new RefusedError(`the ${subscriber} has rolled back a batch of changes that it should have committed`);

const plain = (text: string): Statement => ({ text });

const stagedBy = (actions: readonly TableStatement[]): ReadonlySet<TableMapping> =>
  new Set(actions.filter(({ stages }) => stages).flatMap(({ binding }) => binding ?? []));

/** A loop: flatMap takes ten times as long over thousands of small segments. */
function changesOf(segments: readonly BatchSegment[]): Change[] {
  const all: Change[] = [];
  for (const { changes } of segments) for (const change of changes) all.push(change);
  return all;
}
