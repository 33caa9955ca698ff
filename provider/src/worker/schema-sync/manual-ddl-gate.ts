import { isDeepStrictEqual } from "node:util";
import pg, { type Client } from "pg";
import { CanceledError, RefusedError } from "../../errors.js";
import { qualify } from "../../postgres/identifiers.js";
import type { Table } from "../../postgres/tables.js";
import type { Followers } from "../followers/followers.js";
import { delay } from "../../async/delay.js";
import type { SchemaDrift } from "../schema-diff/schema-drift.js";
import type { PausingChange, SchemaChange } from "../schema-diff/schema-change.js";
import { keptTableFindings } from "../schema-diff/kept-tables.js";
import { hiddenValueHint, withoutSettingValues } from "../../schema/sql/statements.js";
import { tableRules } from "../../schema/catalogue/kinds/relations/tables.js";
import { isLockTimeout } from "../../postgres/locks/lock-waits.js";
import type { StreamRecord } from "../followers/stream-record.js";
import { isSchemaError, schemaErrorTable } from "../followers/schema-error.js";
import type { NewObjects } from "./new-objects.js";
import type { TableResync } from "./table-resync.js";
import { refuseTakenObjects } from "./taken-names.js";

export const pausedCheckMs = 1000;

/** The side whose schema was changed. */
export type AlteredSide = "source" | "target";

export interface PauseReason {
  readonly side: AlteredSide;
  /** The table whose changes the target refuses, if it is known. */
  readonly stuckAt: string | undefined;
  readonly readAgain: () => Promise<SchemaDrift>;
  /** Runs those of the additions that did not run before. Returns whether there were any. */
  readonly add: (drift: SchemaDrift) => Promise<boolean>;
  /** Whether to wait until the operator has run statements, or to refuse. */
  readonly patience: "once" | "untilResolved";
}

/** Pauses the stream until the worker or the operator has run statements on the target. */
export class ManualDdlGate {
  readonly #record: StreamRecord;
  readonly #followers: Followers;
  readonly #joins: TableResync;
  readonly #stopped: AbortSignal;
  #statements: string | undefined;
  #side: AlteredSide = "source";
  /** Statements of the worker that the target refused. The operator is asked for them. */
  readonly #refused = new Set<string>();

  constructor(record: StreamRecord, followers: Followers, joins: TableResync, stopped: AbortSignal) {
    this.#record = record;
    this.#followers = followers;
    this.#joins = joins;
    this.#stopped = stopped;
  }

  /** Why the stream is paused; undefined while it is not. */
  get refusal(): RefusedError | undefined {
    return this.#statements === undefined ? undefined : this.#refusalFor(this.#statements);
  }

  /**
   * Applies all changes of the former table definitions, then runs the worker's statements, and waits until the operator has
   * run the others.
   *
   * @returns the remaining differences: statements for other tables, and for later changes
   * @throws RefusedError with the operator's statements, if they are not waited for
   */
  async untilResolved(
    objects: NewObjects,
    drift: SchemaDrift,
    { side, stuckAt, ...reason }: PauseReason,
  ): Promise<SchemaDrift> {
    this.#side = side;
    const { patience } = reason;
    const operators = this.#forOperator(drift.pausing);
    if (operators.length > 0 && patience === "untilResolved") {
      const reasons = operators.map(
        ({ sql, rule }) => `${withoutSettingValues(sql)} (${rule.kind} ${rule.change}: ${rule.reason})`,
      );
      const text = `the ${side}'s schema has changed; the stream is paused for: ${reasons.join("; ")}`;
      await this.#record.report(text, "warning");
    }
    try {
      const isPassable = stuckAt === undefined || newTableNamed(drift, stuckAt) !== undefined;
      const stuck = isPassable ? await this.#applyOlderShapes(objects.source, drift) : stuckAt;
      const now = await this.#resolveBlocking(objects, drift, { ...reason, stuck });
      if (this.#statements !== undefined)
        await this.#record.report("resumes: the target's schema was changed like the source's");
      // A follower that received a change with the new definition has ended.
      if (stuck !== undefined && patience === "once") await this.#followers.restart();
      return now;
    } finally {
      // Also after an error: no other code resumes the stream.
      this.#statements = undefined;
      this.#followers.current.resume();
      // The message stays for a successor, which pauses for the same statements.
      if (patience === "untilResolved" && !this.#stopped.aborted) await this.#record.showMessage(null);
    }
  }

  /**
   * Applies all changes from before the schema change, because the altered target could refuse them. Changes of tables that
   * will be copied are skipped.
   *
   * @returns the table whose changes the target refuses
   */
  async #applyOlderShapes(source: Client, drift: SchemaDrift): Promise<string | undefined> {
    for (;;)
      try {
        await this.#followers.drain(source);
        return undefined;
      } catch (error) {
        if (!isSchemaError(error)) throw error;
        const stuck = schemaErrorTable(error);
        const stuckTable = stuck === undefined ? undefined : newTableNamed(drift, stuck);
        const isPassable =
          stuck !== undefined && stuckTable !== undefined && !this.#record.skipped.names.includes(stuck);
        if (isPassable) await this.#joins.skip(stuck, stuckTable.oid);
        else if (!(await this.#joins.skipReplacedDefinition(error))) return stuck;
        await this.#followers.restart();
      }
  }

  async #resolveBlocking(
    objects: NewObjects,
    drift: SchemaDrift,
    { stuck, readAgain, add, patience }: Omit<PauseReason, "side" | "stuckAt"> & { readonly stuck: string | undefined },
  ): Promise<SchemaDrift> {
    const isBlocking = blocksStream(drift, stuck);
    let now = drift;
    for (let waiting: readonly PausingChange[]; (waiting = now.pausing.filter(isBlocking)).length > 0;) {
      const others = now.pausing.filter((change) => !isBlocking(change));
      if (!(await this.#runOwn(objects, waiting, others))) {
        const asked = this.#forOperator(waiting);
        if (patience === "once") throw this.#refusalFor(textOf(asked));
        await this.#show(textOf(asked));
        if (this.#stopped.aborted) throw new CanceledError("following was stopped");
        await delay(pausedCheckMs, this.#stopped);
      }
      now = await readAgain();
    }
    if (now !== drift || patience === "untilResolved") return now;
    // The stream waits for none of the statements. It may need an addition first, or a change that was made since the comparison.
    const isHelped = await add(drift);
    const later = await readAgain();
    if (!isHelped && isDeepStrictEqual(later, drift)) throw this.#refusalFor(textOf(drift.pausing));
    return later;
  }

  #forWorker(changes: readonly PausingChange[]): readonly PausingChange[] {
    return changes.slice(0, changes.length - this.#forOperator(changes).length);
  }

  /** The changes from the first one on that needs the operator: later statements may depend on it. */
  #forOperator(changes: readonly PausingChange[]): readonly PausingChange[] {
    const first = changes.findIndex(({ runBy, sql }) => runBy === "operator" || this.#refused.has(sql));
    return first < 0 ? [] : changes.slice(first);
  }

  /**
   * Runs the statements before the first one that needs the operator. A refused statement may need one that follows, such as
   * the new name of a schema, or one of another table: a partition follows the partitioned table. It is left to the operator
   * when no other statement succeeds.
   *
   * @param others run only if all are refused, because the stream may contain changes of their tables' former definitions
   * @returns whether the target was changed
   */
  async #runOwn(
    objects: NewObjects,
    changes: readonly PausingChange[],
    others: readonly PausingChange[],
  ): Promise<boolean> {
    const own = this.#forWorker(changes);
    if (own.length === 0) return false;
    await refuseTakenObjects(objects);
    const refused = await this.#runEach(objects, own);
    if (refused.size < own.length) return true;
    const following = this.#forWorker(others);
    if ((await this.#runEach(objects, following)).size < following.length) return true;
    for (const [sql, why] of refused) {
      this.#refused.add(sql);
      await this.#record.reportFailedStatement(sql, why);
    }
    return false;
  }

  /** Returns the messages with which the target has refused statements. */
  async #runEach({ target }: NewObjects, changes: readonly PausingChange[]): Promise<ReadonlyMap<string, string>> {
    const refused = new Map<string, string>();
    for (const { rule, sql, keepingSql = sql } of changes)
      try {
        await target.query(keepingSql);
        this.#followers.noteAlteration();
        await this.#record.reportCarriedStatement(keepingSql);
        if (rule === tableRules.dropped) await this.#reportKept(target);
      } catch (error) {
        if (!(error instanceof pg.DatabaseError) || isLockTimeout(error)) throw error;
        refused.set(sql, error.message);
      }
    return refused;
  }

  async #reportKept(target: Client): Promise<void> {
    const { work, database } = this.#record;
    await work.journal.findings(await keptTableFindings(database, target));
  }

  async #show(statements: string): Promise<void> {
    if (statements === this.#statements) return;
    this.#statements = statements;
    const place = `on the target, in ${this.#record.targetName}${hintFor(statements)}`;
    const message = `paused: the ${this.#side}'s schema has changed; run ${place}: ${statements}`;
    await this.#record.showMessage(message);
    await this.#record.report(message, "warning");
  }

  #refusalFor(statements: string): RefusedError {
    const { database, targetName } = this.#record;
    return new RefusedError(
      `${database} is paused: the ${this.#side}'s schema has changed in a way that needs a manual change of the target`,
      {
        remedy: `on the target, in ${targetName}${hintFor(statements)}: ${statements}; the stream then resumes`,
        code: "PGM-503",
      },
    );
  }
}

const hintFor = (statements: string): string =>
  hiddenValueHint(statements) +
  (/ USING /.test(statements)
    ? " (if a USING expression is refused, any other will do: rows that the source rewrote are copied again)"
    : "");

const newTableNamed = ({ newTables }: SchemaDrift, table: string): Table | undefined =>
  newTables.find(({ schema, name }) => qualify(schema, name) === table);

/** Statements for changes that were made after the drain have to wait: earlier rows have not been applied yet. */
function blocksStream({ pausing }: SchemaDrift, stuck: string | undefined): (change: SchemaChange) => boolean {
  const drained = new Set(pausing.map(({ sql }) => sql));
  return ({ sql, tables }) => (stuck === undefined ? drained.has(sql) : tables.includes(stuck));
}

const textOf = (changes: readonly SchemaChange[]): string =>
  changes.map(({ sql }) => withoutSettingValues(sql)).join("; ");
