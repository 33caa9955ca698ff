import type { Client } from "pg";
import { copySmallTables, copyTable, type TableRows } from "../copy/copy-table.js";
import { copyFormat } from "../copy/format.js";
import { passBytes } from "../copy/pass-bytes.js";
import type { Relayed } from "../copy/relay.js";
import { useSearchPath } from "../copy/search-path.js";
import { openInSnapshot, type Snapshot } from "../copy/snapshot.js";
import type { TableToCopy } from "../copy/tables-to-copy.js";
import { EngineFault, messageOf } from "../errors.js";
import { connect } from "../postgres/connect.js";
import { serverVersion } from "../postgres/server-version.js";
import { listTables, type Table } from "../postgres/tables.js";
import type { RestoreFinding } from "../schema/findings.js";
import type { RestoreContext } from "../schema/restore-context.js";
import type { Build, RelationName } from "../schema/restore-plan.js";
import { restoreEntry, restoreTogether } from "../schema/restore.js";
import type { Unit, Units } from "../store/units.js";
import { targetDatabase } from "../target-database.js";
import { Bell } from "../bell.js";
import type { Work } from "./work.js";

export interface UnitsToCopy {
  readonly work: Work;
  readonly database: string;
  readonly units: Units;
  readonly snapshot: Snapshot;
  readonly tables: readonly TableToCopy[];
  /** How many units are tables or parts of them; they come first, then one for each build. */
  readonly tableUnits: number;
  readonly builds: readonly Build[];
  readonly context: RestoreContext;
  readonly signal: AbortSignal;
  /** Runs beside the tables; its signal aborts with theirs. */
  readonly beside: (signal: AbortSignal) => Promise<void>;
  /** Runs when every table is copied, and what runs beside them done, beside the indexes that are still built. */
  readonly onTablesCopied: () => Promise<void>;
  readonly onFindings: (findings: readonly RestoreFinding[]) => Promise<void>;
}

const progressEveryMs = 1000;

/**
 * Copies tables, and builds the indexes of each as soon as its rows are there, while others still copy. The first failure
 * ends all of it.
 */
export async function copyUnits(options: UnitsToCopy): Promise<void> {
  const pool = new CopyPool(options);
  await pool.run();
}

class CopyPool {
  readonly #failed = new AbortController();
  readonly #signal: AbortSignal;
  readonly #tables: ReadonlyMap<string, TableToCopy>;
  readonly #builds: readonly Build[];
  #targetTables: ReadonlyMap<string, Table> = new Map();
  #versions = { source: 0, target: 0 };
  #open: number;
  #unbuilt: number;
  readonly #bell = new Bell();

  constructor(readonly options: UnitsToCopy) {
    this.#signal = AbortSignal.any([options.signal, this.#failed.signal]);
    this.#tables = new Map(options.tables.map((one) => [keyOf(one.table), one]));
    this.#builds = options.builds;
    this.#open = options.tableUnits;
    this.#unbuilt = options.builds.length;
  }

  async run(): Promise<void> {
    const { wish } = this.options.work;
    await this.#learn();
    const tableRunners = Math.min(wish.tableJobs, this.options.tableUnits);
    const indexRunners = Math.min(wish.indexJobs, this.#builds.length);
    const beside = this.options.beside(this.#signal);
    const runners = [this.#copyAll(tableRunners), beside, this.#buildAll(indexRunners), this.#afterTables(beside)];
    const results = await Promise.allSettled(
      runners.map((runner) =>
        runner.catch((error: unknown) => {
          this.#failed.abort(error);
          this.#bell.ring();
          throw error;
        }),
      ),
    );
    this.options.signal.throwIfAborted();
    if (this.#failed.signal.aborted) throw this.#failed.signal.reason;
    const failure = results.find((result) => result.status === "rejected");
    if (failure) throw failure.reason;
  }

  async #learn(): Promise<void> {
    const { work, database, snapshot } = this.options;
    const target = await this.#connectTarget("catalogue");
    const source = await openInSnapshot(work.source, database, snapshot.id, this.#purpose("catalogue"));
    try {
      this.#versions = { source: await serverVersion(source), target: await serverVersion(target) };
      this.#targetTables = new Map((await listTables(target)).map((table) => [keyOf(table), table]));
    } finally {
      await Promise.all([source.end(), target.end()]);
    }
  }

  async #copyAll(runners: number): Promise<void> {
    await Promise.all(Array.from({ length: runners }, () => this.#copyTables()));
    if (this.#open > 0)
      throw new EngineFault(`${this.#open} tables of ${this.options.database} were claimed and not copied`, {
        remedy: "run pulumi up again: the copy begins anew",
      });
  }

  async #copyTables(): Promise<void> {
    const { work, database, snapshot, units } = this.options;
    const source = await openInSnapshot(work.source, database, snapshot.id, this.#purpose("copy"));
    const target = await this.#connectTarget("copy");
    try {
      await this.#prepareToCopy(source, target);
      for (;;) {
        this.#signal.throwIfAborted();
        const went = await work.tableSlots.run(async () => {
          const claimed = await units.claimTables();
          if (claimed.length > 0) await this.#copy(claimed, source, target);
          return claimed.length > 0;
        });
        if (!went) return;
      }
    } finally {
      await Promise.all([source.end(), target.end()]);
    }
  }

  /** Rows are to meet on the target what they met on the source, and nothing that would change them. */
  async #prepareToCopy(source: Client, target: Client): Promise<void> {
    const { wish } = this.options.work;
    await passBytes(target);
    for (const session of [source, target]) await useSearchPath(session, this.options.context.sourceSearchPath ?? "");
    if (wish.dataOnly) await target.query("SET session_replication_role = replica");
  }

  /** One table, or several small ones together. */
  async #copy(claimed: readonly Unit[], source: Client, target: Client): Promise<void> {
    const { units } = this.options;
    let failed = claimed[0]!;
    const together = (): Promise<Relayed[]> =>
      copySmallTables(
        claimed.map((unit) => this.#rowsOf(unit)),
        { source, target, signal: this.#signal, onFailed: (position) => (failed = claimed[position]!) },
      );
    try {
      const copied = claimed.length > 1 ? await together() : [await this.#copyOne(failed, source, target)];
      await units.complete(claimed.map(({ id }, position) => ({ id, ...copied[position]! })));
    } catch (error) {
      if (!this.#signal.aborted) await units.fail(failed.id, messageOf(error));
      throw error;
    }
    this.#open -= claimed.length;
    this.#bell.ring();
  }

  #copyOne(unit: Unit, source: Client, target: Client): Promise<Relayed> {
    let reportedAt = 0;
    return copyTable({
      source,
      target,
      ...this.#rowsOf(unit),
      part: unit.condition,
      signal: this.#signal,
      onProgress: (bytes, rows) => {
        if (Date.now() - reportedAt < progressEveryMs) return;
        reportedAt = Date.now();
        // A lost report is made good by the next one; a lost lease is noticed by the worker's own watch.
        this.options.units.progress(unit.id, bytes, rows).catch(() => undefined);
      },
    });
  }

  #rowsOf(unit: Unit): TableRows {
    const { table, condition } = this.#tableOf(unit);
    const twin = this.#targetTables.get(keyOf(table));
    if (!twin)
      throw new EngineFault(`${table.schema}.${table.name} is missing on the target after its schema was restored`);
    return { table, condition, format: copyFormat(table, twin, this.#versions.source, this.#versions.target) };
  }

  /** Behind what runs beside, too: it reads under the same snapshot. */
  async #afterTables(beside: Promise<void>): Promise<void> {
    while (this.#open > 0) {
      this.#signal.throwIfAborted();
      await this.#bell.next;
    }
    await beside;
    await this.options.onTablesCopied();
  }

  async #buildAll(runners: number): Promise<void> {
    await Promise.all(Array.from({ length: runners }, () => this.#buildIndexes()));
    if (this.#unbuilt > 0)
      throw new EngineFault(`${this.#unbuilt} indexes of ${this.options.database} were claimed and not built`, {
        remedy: "run pulumi up again: the copy begins anew",
      });
  }

  async #buildIndexes(): Promise<void> {
    const { work, units } = this.options;
    const target = await this.#connectTarget("index");
    try {
      for (;;) {
        this.#signal.throwIfAborted();
        const bell = this.#bell.next;
        const allCopied = this.#open === 0;
        const went = await work.indexSlots.run(async () => {
          const claimed = await units.claimIndexes();
          if (claimed.length > 0) await this.#build(claimed, target);
          return claimed.length > 0;
        });
        if (went) continue;
        if (allCopied) return;
        await bell;
      }
    } finally {
      await target.end();
    }
  }

  /** One index, or all those of several small tables together, if none of them needs to be fitted to the target. */
  async #build(claimed: readonly Unit[], target: Client): Promise<void> {
    const entries = claimed.map((unit) => this.#buildOf(unit).entry);
    if (claimed.length > 1 && (await restoreTogether(target, entries, this.options.context)))
      return this.#built(claimed);
    for (const unit of claimed) await this.#buildOne(unit, target);
  }

  async #buildOne(unit: Unit, target: Client): Promise<void> {
    try {
      await this.options.onFindings(await restoreEntry(target, this.#buildOf(unit).entry, this.options.context));
    } catch (error) {
      if (!this.#signal.aborted) await this.options.units.fail(unit.id, messageOf(error));
      throw error;
    }
    await this.#built([unit]);
  }

  async #built(units: readonly Unit[]): Promise<void> {
    await this.options.units.complete(units.map(({ id }) => ({ id, bytes: 0, rows: 0 })));
    this.#unbuilt -= units.length;
  }

  #buildOf(unit: Unit): Build {
    const build = this.#builds[unit.id - this.options.tableUnits];
    if (!build) throw new EngineFault(`unit ${unit.id} is no build of this plan`);
    return build;
  }

  #tableOf(unit: Unit): TableToCopy {
    const table = this.#tables.get(keyOf({ schema: unit.schema, name: unit.table }));
    if (!table) throw new EngineFault(`unit ${unit.id} names ${unit.schema}.${unit.table}, which is not to be copied`);
    return table;
  }

  #connectTarget(purpose: string): Promise<Client> {
    const { work, database } = this.options;
    return connect(work.target, { database: targetDatabase(work.wish, database), purpose: this.#purpose(purpose) });
  }

  #purpose(what: string): string {
    return `${this.options.work.wish.migrationName} ${what}`;
  }
}

const keyOf = ({ schema, name }: RelationName): string => JSON.stringify([schema, name]);
