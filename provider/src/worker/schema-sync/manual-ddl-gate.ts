import type { Client } from "pg";
import { CanceledError, RefusedError } from "../../errors.js";
import { qualify } from "../../postgres/identifiers.js";
import type { Table } from "../../postgres/tables.js";
import type { Followers } from "../followers/followers.js";
import { delay } from "../../async/delay.js";
import type { SchemaDrift } from "../schema-diff/schema-drift.js";
import type { SchemaChange } from "../schema-diff/schema-change.js";
import type { StreamRecord } from "../followers/stream-record.js";
import { isSchemaError, schemaErrorTable } from "../followers/schema-error.js";
import type { TableResync } from "./table-resync.js";

export const pausedCheckMs = 1000;

/** The side whose schema was changed. */
export type AlteredSide = "source" | "target";

export interface PauseReason {
  readonly side: AlteredSide;
  /** The table whose changes the target refuses, if it is known. */
  readonly stuckAt: string | undefined;
  readonly readAgain: () => Promise<SchemaDrift>;
}

/** Pauses the stream until the operator has run statements on the target. */
export class ManualDdlGate {
  readonly #record: StreamRecord;
  readonly #followers: Followers;
  readonly #joins: TableResync;
  readonly #stopped: AbortSignal;
  #statements: string | undefined;
  #side: AlteredSide = "source";

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

  /** Returns {@link refusal} without a pause, for the statements that the stream needs next. */
  async refusalOf(source: Client, drift: SchemaDrift, side: AlteredSide): Promise<RefusedError> {
    this.#side = side;
    try {
      const come = drift.manualChanges.filter(atStake(drift, await this.#applyOlderShapes(source, drift)));
      return this.#refusalFor(textOf(come.length > 0 ? come : drift.manualChanges));
    } finally {
      this.#followers.current.resume();
    }
  }

  /**
   * Applies all changes of the former table definitions, then waits until the operator has run the statements.
   *
   * @returns the remaining differences: statements for other tables, and for later changes
   */
  async untilResolved(
    source: Client,
    drift: SchemaDrift,
    { side, stuckAt, readAgain }: PauseReason,
  ): Promise<SchemaDrift> {
    this.#side = side;
    const reasons = drift.manualChanges.map(({ sql, rule }) => `${sql} (${rule.kind} ${rule.change}: ${rule.reason})`);
    const text = `the ${side}'s schema has changed; the stream is paused for: ${reasons.join("; ")}`;
    await this.#record.say(text, "warning");
    try {
      const isPassable = stuckAt === undefined || newTableNamed(drift, stuckAt) !== undefined;
      const stuck = isPassable ? await this.#applyOlderShapes(source, drift) : stuckAt;
      const now = await this.#whileAtStake(drift, stuck, readAgain);
      await this.#record.say("resumes: the target's schema was changed like the source's");
      return now;
    } finally {
      // Also after an error: no other code resumes the stream.
      this.#statements = undefined;
      this.#followers.current.resume();
      // The message stays for a successor, which pauses for the same statements.
      if (!this.#stopped.aborted) await this.#record.showMessage(null);
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
        const isPassable = stuck !== undefined && stuckTable !== undefined && !this.#record.skipped.includes(stuck);
        if (isPassable) await this.#joins.skip(stuck, stuckTable.oid);
        else if (!(await this.#joins.outlives(error))) return stuck;
        await this.#followers.restart();
      }
  }

  async #whileAtStake(
    drift: SchemaDrift,
    stuck: string | undefined,
    readAgain: () => Promise<SchemaDrift>,
  ): Promise<SchemaDrift> {
    const isAtStake = atStake(drift, stuck);
    let now = drift;
    while (now.manualChanges.some(isAtStake)) {
      await this.#show(textOf(now.manualChanges.filter(isAtStake)));
      if (this.#stopped.aborted) throw new CanceledError("following was stopped");
      await delay(pausedCheckMs, this.#stopped);
      now = await readAgain();
    }
    return now;
  }

  async #show(statements: string): Promise<void> {
    if (statements === this.#statements) return;
    this.#statements = statements;
    const place = `on the target, in ${this.#record.targetName}${hintFor(statements)}`;
    const message = `paused: the ${this.#side}'s schema has changed; run ${place}: ${statements}`;
    await this.#record.showMessage(message);
    await this.#record.say(message, "warning");
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
  / USING /.test(statements)
    ? " (if a USING expression is refused, any other will do: rows that the source rewrote are copied again)"
    : "";

const newTableNamed = ({ newTables }: SchemaDrift, table: string): Table | undefined =>
  newTables.find(({ schema, name }) => qualify(schema, name) === table);

/** Statements for changes that were made after the drain have to wait: earlier rows have not been applied yet. */
function atStake({ manualChanges }: SchemaDrift, stuck: string | undefined): (change: SchemaChange) => boolean {
  const drained = new Set(manualChanges.map(({ sql }) => sql));
  return ({ sql, tables }) => (stuck === undefined ? drained.has(sql) : tables.includes(stuck));
}

const textOf = (changes: readonly SchemaChange[]): string => changes.map(({ sql }) => sql).join("; ");
