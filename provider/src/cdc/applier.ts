import type { Client } from "pg";
import { ContentDiffers, Refused, TakenOver, messageOf } from "../errors.js";
import { formatLsn, type Lsn } from "../postgres/lsn.js";
import { applyTable } from "./apply-table.js";
import { Bindings } from "./binding.js";
import type { Change, Truncate } from "./change.js";
import { describeRow } from "./describe-row.js";
import { mayPass } from "./failure.js";
import { type OrderedChange, fold } from "./fold.js";
import type { Segment } from "./inbox.js";
import { type ChangeCounts, type Progress, advanceProgress } from "./progress.js";
import { RowMissing } from "./row-missing.js";
import { Staging } from "./staging.js";

export interface ApplierOptions {
  readonly migration: string;
  readonly generation: number;
  readonly progress: Progress;
  /** A batch went in change by change, because of what is said. */
  readonly onOrderedBatch: (reason: string) => void;
}

export const noChanges: ChangeCounts = { inserts: 0, updates: 0, deletes: 0, truncates: 0 };

/**
 * Writes batches to the target, each in one transaction with the progress that it makes. A batch that ends inside a
 * transaction of the source leaves the target's open; the next one goes on in it.
 *
 * After an error the session is of no use any more: the caller ends it and reads the progress anew.
 */
export class Applier {
  readonly #target: Client;
  readonly #options: ApplierOptions;
  readonly #bindings: Bindings;
  readonly #staging: Staging;
  #commitLsn: Lsn;
  #throughLsn: Lsn;
  #inTransaction = false;
  /** Of all that is durable on the target. */
  #counts: ChangeCounts;
  /** Of the open transaction. */
  #uncommitted = noChanges;

  constructor(target: Client, options: ApplierOptions) {
    this.#target = target;
    this.#options = options;
    this.#bindings = new Bindings(target);
    this.#staging = new Staging(target);
    this.#commitLsn = options.progress.commitLsn;
    this.#throughLsn = options.progress.throughLsn;
    this.#counts = options.progress.counts;
  }

  /** The end of the last transaction of the source that is durable on the target. */
  get commitLsn(): Lsn {
    return this.#commitLsn;
  }

  /** Everything that committed on the source at or before is durable on the target. */
  get throughLsn(): Lsn {
    return this.#throughLsn;
  }

  /** What was applied since the migration's begin, by every worker. */
  get counts(): ChangeCounts {
    return this.#counts;
  }

  /** In the middle of a transaction of the source. */
  get inTransaction(): boolean {
    return this.#inTransaction;
  }

  /**
   * @throws ContentDiffers when the target has no row for a change or refuses it in the source's order too
   * @throws Refused when the target's tables do not fit
   * @throws TakenOver when another worker has gone on
   */
  async apply(batch: readonly Segment[]): Promise<void> {
    const misfit = await this.#bindAll(batch);
    const fitting = misfit ? batch.slice(0, misfit.place) : batch;
    // What came before the source's table was altered has to go in before the target's can be.
    if (fitting.length > 0) await this.#applyFitting(fitting);
    if (misfit) throw misfit.error;
  }

  async #applyFitting(batch: readonly Segment[]): Promise<void> {
    const goesOn = this.#inTransaction;
    try {
      await this.#applyTogether(batch);
    } catch (error) {
      if (goesOn || batch.length === 1 || mayPass(error) || error instanceof TakenOver) throw error;
      // What came before the transaction that the target refuses has to go in: the target may be altered for what follows.
      await this.#target.query("ROLLBACK");
      await this.#staging.drop();
      this.#inTransaction = false;
      for (const segment of batch) await this.#applyTogether([segment]);
    }
  }

  async #applyTogether(batch: readonly Segment[]): Promise<void> {
    const changes = batch.flatMap((segment) => segment.changes);
    if (!this.#inTransaction) {
      await this.#staging.limit();
      await this.#target.query("BEGIN");
      this.#inTransaction = true;
      this.#uncommitted = noChanges;
    }
    if (changes.length > 0) await this.#applyChanges(batch, changes);
    this.#uncommitted = sum(this.#uncommitted, countOf(changes));
    const { end } = batch.at(-1)!;
    if (end) await this.#commit(end.lsn, end.lsn, end.commitTimeMs);
  }

  /** Notes that the source has nothing for us up to `lsn`. */
  async passOver(lsn: Lsn): Promise<void> {
    if (lsn <= this.#throughLsn) return;
    this.#uncommitted = noChanges;
    await this.#target.query("BEGIN");
    await this.#commit(this.#commitLsn, lsn, undefined);
  }

  async #commit(commitLsn: Lsn, throughLsn: Lsn, commitTimeMs: number | undefined): Promise<void> {
    const { migration, generation } = this.#options;
    await advanceProgress(this.#target, {
      ...{ migration, generation, from: this.#throughLsn },
      ...{ commitLsn, throughLsn, commitTimeMs, counts: this.#uncommitted },
    });
    const { command } = await this.#target.query("COMMIT");
    if (command !== "COMMIT")
      throw new Refused("the target has rolled back a batch of changes that it should have committed");
    this.#staging.emptied();
    this.#inTransaction = false;
    this.#counts = sum(this.#counts, this.#uncommitted);
    this.#commitLsn = commitLsn;
    this.#throughLsn = throughLsn;
  }

  /** Answers the first segment with a change that the target's tables do not fit, and why. */
  async #bindAll(batch: readonly Segment[]): Promise<{ place: number; error: unknown } | undefined> {
    for (const [place, { changes }] of batch.entries())
      for (const change of changes) {
        const relations = change.kind === "truncate" ? change.relations : [change.relation];
        try {
          for (const relation of relations) if (!this.#bindings.knows(relation)) await this.#bindings.bind(relation);
        } catch (error) {
          return { place, error };
        }
      }
    return undefined;
  }

  /** Inserts need no staging table, unless they are applied in the source's order. */
  async #prepareStaging(changes: readonly Change[], inOrder: boolean): Promise<void> {
    for (const change of changes) {
      if (change.kind === "truncate" || (change.kind === "insert" && !inOrder)) continue;
      const binding = this.#bindings.of(change.relation);
      if (!this.#staging.has(binding)) await this.#staging.make(binding);
    }
  }

  async #applyChanges(batch: readonly Segment[], changes: readonly Change[]): Promise<void> {
    await this.#prepareStaging(changes, false);
    await this.#target.query("SAVEPOINT batch");
    try {
      await this.#applySteps(batch, changes, false);
    } catch (error) {
      if (!wantsSourceOrder(error)) throw error;
      this.#options.onOrderedBatch(messageOf(error));
      await this.#target.query("ROLLBACK TO SAVEPOINT batch");
      // Constraints that look at a table between two rows may refuse folded changes which the source's order allows.
      await this.#target.query("SET CONSTRAINTS ALL DEFERRED");
      await this.#prepareStaging(changes, true);
      await this.#applySteps(batch, changes, true);
    }
    await this.#target.query("RELEASE SAVEPOINT batch");
  }

  async #applySteps(batch: readonly Segment[], changes: readonly Change[], inOrder: boolean): Promise<void> {
    const failed = (change: OrderedChange, cause: unknown): Error => changeFailure(change, batch, cause);
    for (const step of fold(changes, (change) => this.#bindings.of(change.relation), inOrder)) {
      if (step.kind === "truncate") await this.#truncate(step.truncate);
      else for (const table of step.tables) await applyTable(this.#target, this.#staging, table, failed);
    }
  }

  async #truncate({ relations, restartIdentity }: Truncate): Promise<void> {
    // The source lists every table that was emptied, those reached by CASCADE too: cascading anew could reach others.
    const names = new Set(relations.map((relation) => this.#bindings.of(relation).only));
    await this.#target.query(`TRUNCATE ${[...names].join(", ")}${restartIdentity ? " RESTART IDENTITY" : ""}`);
  }
}

/** The target has no row for a change, or refuses it. */
export class ChangeRefused extends ContentDiffers {
  constructor(
    /** Qualified and quoted. */
    readonly table: string,
    ...details: ConstructorParameters<typeof ContentDiffers>
  ) {
    super(...details);
  }
}

/** Class 23: integrity constraint violation. */
const wantsSourceOrder = (error: unknown): boolean =>
  error instanceof RowMissing || /^23/.test((error as { code?: string }).code ?? "");

/** Names the transaction, the table and the row; what is only the session's trouble stays as it is. */
function changeFailure(ordered: OrderedChange, batch: readonly Segment[], cause: unknown): Error {
  if (!wantsSourceOrder(cause)) return cause as Error;
  const { change, binding } = ordered;
  const { transaction, end } = segmentOf(ordered.place, batch);
  const lsn = transaction.commitLsn ?? end?.lsn;
  return new ChangeRefused(
    binding.name,
    `${change.kind.toUpperCase()} of ${describeRow(ordered)} in ${binding.name}, transaction ${transaction.xid} ` +
      `committed at ${lsn === undefined ? "an unknown position" : formatLsn(lsn)}, cannot be applied: ${messageOf(cause)}`,
    {
      remedy:
        "somebody else has written to the target, or the copy was not complete: compare this row on both sides, then begin anew",
      code: "603410",
      cause,
    },
  );
}

function segmentOf(place: number, batch: readonly Segment[]): Segment {
  let before = 0;
  for (const segment of batch) {
    before += segment.changes.length;
    if (place < before) return segment;
  }
  throw new RangeError(`the batch has no change ${place}`);
}

function countOf(changes: readonly Change[]): ChangeCounts {
  const counts = { inserts: 0, updates: 0, deletes: 0, truncates: 0 };
  for (const { kind } of changes) counts[`${kind}s`]++;
  return counts;
}

const sum = (one: ChangeCounts, other: ChangeCounts): ChangeCounts => ({
  inserts: one.inserts + other.inserts,
  updates: one.updates + other.updates,
  deletes: one.deletes + other.deletes,
  truncates: one.truncates + other.truncates,
});
