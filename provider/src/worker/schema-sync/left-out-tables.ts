import { qualify } from "../../postgres/identifiers.js";
import type { Table } from "../../postgres/tables.js";
import { readSelection } from "../../schema/plan/selection.js";
import type { Followers } from "../followers/followers.js";
import type { StreamRecord } from "../followers/stream-record.js";
import type { Sides } from "./followed-objects.js";
import type { TableResync } from "./table-resync.js";
import { NamesTaken, readTakenNames, refuseTakenObjects, type TakenName } from "./taken-names.js";

/** Leaves out the new tables of the source whose names other roles have taken on the target. */
export class LeftOutTables {
  readonly #record: StreamRecord;
  readonly #joins: TableResync;
  #taken: readonly TakenName[] = [];
  /** The tables that the follower skips. */
  #skipped: ReadonlySet<string> = new Set();

  constructor(record: StreamRecord, joins: TableResync) {
    this.#record = record;
    this.#joins = joins;
  }

  /** Why tables are left out, and what to do about it; undefined without such tables. */
  get refusal(): NamesTaken | undefined {
    return this.#taken.length === 0 ? undefined : NamesTaken.ofTables(this.#taken);
  }

  /**
   * @param sourceTables all in scope
   * @throws NamesTaken naming other objects whose names are taken, or followed tables that were renamed: the target has their
   * rows under the former name
   */
  async update(
    { source, target }: Sides,
    sourceTables: readonly Table[],
    targetTables: readonly Table[],
  ): Promise<void> {
    const { work, following, leftOut } = this.#record;
    // With dataOnly the operator prepared the tables.
    if (work.spec.dataOnly) return;
    await refuseTakenObjects({ work, source, target });
    const { followed = {} } = following;
    const taken = await readTakenNames({ source, target }, sourceTables, targetTables, followed);
    const renamed = taken.filter(({ oid }) => String(oid) in followed);
    if (renamed.length > 0) throw NamesTaken.ofTables(renamed);
    const tables = new Map(taken.map(({ table, oid }) => [table, oid]));
    // The stream skipped their changes, so they are copied even if the target has tables of these names.
    for (const { schema, name, oid } of sourceTables) {
      const table = qualify(schema, name);
      if (leftOut.tables.get(table) === oid && !tables.has(table)) await this.#joins.skip(table, oid);
    }
    const selection = await readSelection(source, { include: {}, exclude: {} }, [...tables.values()]);
    this.#record.leftOut = { tables, selection };
    this.#taken = taken;
  }

  /**
   * Restarts the follower if it does not skip all these tables. Partitions are in the stream without being published by
   * name, and before 10 all tables are.
   *
   * @returns whether it was restarted
   */
  async skipIn(followers: Followers): Promise<boolean> {
    const now = new Set(this.#record.leftOut.tables.keys());
    const skipsAll = [...now].every((table) => this.#skipped.has(table));
    this.#skipped = now;
    if (!skipsAll) await followers.restart();
    return !skipsAll;
  }
}
