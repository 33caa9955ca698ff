import type { Client } from "pg";
import type { TableMapping, TableMappings } from "../binding/table-mapping.js";
import { coalesce } from "../batch/coalesce.js";
import type { BatchSegment } from "../batch/transaction-buffer.js";
import type { Change, Relation, Truncate } from "../model/change.js";
import type { ValueForm } from "../model/value-form.js";
import type { Statement } from "../wire/pipelined-queries.js";
import { ApplyStrategies } from "./apply-strategies.js";
import { RowStatements } from "./row-statements.js";
import { Staging } from "./staging.js";
import { type ApplyPaths, type TableStatement, statementsFor } from "./table-statements.js";

/** The statements of a batch, and the strategies with which they were built. */
export interface BuiltBatch {
  readonly statements: readonly TableStatement[];
  readonly strategies: ApplyStrategies;
}

/** For how many batches the updated rows of a table are replaced, because a constraint is likely to refuse them again. */
const batchesReplaced = 20;

/** Builds the statements of batches for one target session. */
export class BatchBuilder {
  readonly staging: Staging;
  readonly mappings: TableMappings;
  readonly #paths: ApplyPaths;
  /** Tables whose updated rows are replaced, with the number of remaining batches. */
  readonly #replaced = new Map<string, number>();

  constructor(target: Client, form: ValueForm, mappings: TableMappings) {
    this.mappings = mappings;
    this.staging = new Staging(target, form);
    this.#paths = { staging: this.staging, single: new RowStatements(form) };
  }

  /** Whether the mappings of all tables of the changes are known, so that {@link build} needs no query. */
  knowsTables(changes: readonly Change[]): boolean {
    return changes.every((change) => this.#knows(change));
  }

  /**
   * Reads the unknown tables of a batch from the target. Returns the first segment with a change that does not fit the target's
   * tables, and the error.
   */
  async mapTables(batch: readonly BatchSegment[]): Promise<{ index: number; error: unknown } | undefined> {
    for (const [index, { changes }] of batch.entries())
      for (const change of changes) {
        if (this.#knows(change)) continue;
        const relations = change.kind === "truncate" ? change.relations : [change.relation];
        try {
          for (const relation of relations) if (!this.mappings.knows(relation)) await this.mappings.bind(relation);
        } catch (error) {
          return { index, error };
        }
      }
    return undefined;
  }

  build(batch: readonly BatchSegment[], changes: readonly Change[]): BuiltBatch {
    const strategies = ApplyStrategies.replacing(this.#replaced.keys());
    for (const [table, left] of this.#replaced)
      if (left > 1) this.#replaced.set(table, left - 1);
      else this.#replaced.delete(table);
    return { statements: this.buildWith(strategies, batch, changes), strategies };
  }

  buildWith(
    strategies: ApplyStrategies,
    batch: readonly BatchSegment[],
    changes: readonly Change[],
  ): readonly TableStatement[] {
    const mappingOf = (change: { readonly relation: Relation }): TableMapping => this.mappings.of(change.relation);
    const isSequential = (table: TableMapping): boolean => strategies.of(table) === "sequential";
    const statements = coalesce(changes, mappingOf, isSequential).flatMap((step) =>
      step.kind === "truncate"
        ? this.#truncate(step.truncate, strategies.allSequential)
        : step.tables.flatMap((table) =>
            statementsFor(this.#paths, table, strategies.of(table.binding) === "replaced"),
          ),
    );
    const isLast = batch.at(-1)!.end !== undefined;
    return isLast ? [...statements, ...this.staging.truncateLarge().map((statement) => ({ statement }))] : statements;
  }

  /** Replaces the updated rows of these tables in the next batches as well. */
  replaceUpdates(tables: readonly string[]): void {
    for (const table of tables) this.#replaced.set(table, batchesReplaced);
  }

  /** The statements that create missing staging tables for the given statements. */
  createStaging(statements: readonly TableStatement[]): Statement[] {
    return this.staging.make(stagedTables(statements));
  }

  hasStaging(statements: readonly TableStatement[]): boolean {
    return this.staging.hasMade(stagedTables(statements));
  }

  #knows(change: Change): boolean {
    return change.kind === "truncate"
      ? change.relations.every((relation) => this.mappings.knows(relation))
      : this.mappings.knows(change.relation);
  }

  #truncate({ relations, restartIdentity }: Truncate, byDelete: boolean): TableStatement[] {
    // Without CASCADE: the source lists every truncated table, and CASCADE on the target could reach others.
    const names = [...new Set(relations.map((relation) => this.mappings.of(relation).only))];
    if (byDelete) return names.map((name) => ({ statement: { text: `DELETE FROM ${name}` } }));
    return [{ statement: { text: `TRUNCATE ${names.join(", ")}${restartIdentity ? " RESTART IDENTITY" : ""}` } }];
  }
}

const stagedTables = (statements: readonly TableStatement[]): ReadonlySet<TableMapping> =>
  new Set(statements.filter(({ stages }) => stages).flatMap(({ binding }) => binding ?? []));
