import { connect } from "../../postgres/connection/connect.js";
import type { Client } from "pg";
import { ShapeDiffers } from "../../cdc/binding/table-mapping.js";
import { changeCaptureNames } from "../../cdc/model/names.js";
import { qualify } from "../../postgres/identifiers.js";
import type { Table } from "../../postgres/tables.js";
import { type ObjectSettings, readObjectSettings, settingDigestsOf } from "../../schema/catalogue/object-settings.js";
import type { Followers } from "../followers/followers.js";
import { adopted } from "../following.js";
import { joinTables } from "../join-tables.js";
import type { NewObjects } from "./new-objects.js";
import { type Outlived, outlivedShape } from "./transient-schema-change.js";
import { isOutlivedValue } from "./transient-value-error.js";
import { readSourceMark, replacedSince, type SourceMark } from "../schema-diff/schema-baseline.js";
import type { StreamRecord } from "../followers/stream-record.js";
import { tablesInScope } from "../tables-in-scope.js";

/** How tables come to a stream that is followed already: new ones, and those that are copied anew. */
export class TableJoins {
  readonly #record: StreamRecord;
  readonly #followers: Followers;
  readonly #stopped: AbortSignal;

  constructor(record: StreamRecord, followers: Followers, stopped: AbortSignal) {
    this.#record = record;
    this.#followers = followers;
    this.#stopped = stopped;
  }

  /** Whether the stream tells of tables that it has to pass, even if there is nothing to copy. */
  get areDue(): boolean {
    return this.#record.formerNames.size > 0;
  }

  /** From the next follower on, so that it comes to what others than this table need. */
  async leaveOut(table: string): Promise<void> {
    await this.#record.keep({ joining: [...new Set(this.#record.following.joining).add(table)] });
  }

  /**
   * Whether the stream has ended at a shape that no target can have any more: the table is to be copied anew then, and is
   * left out until that is done.
   */
  async outlives(error: unknown): Promise<boolean> {
    if (!(error instanceof ShapeDiffers)) return false;
    const { work, database } = this.#record;
    const source = await connect(work.source, { database, purpose: "look at a table" });
    try {
      const outlived = (await outlivedShape(source, error.relation)) ?? (await this.#outlivedValue(source, error));
      if (!outlived) return false;
      const { present } = outlived;
      const fate = present === undefined ? "it is gone by now" : `${present} is copied anew`;
      await this.#record.say(`the stream tells of ${error.table} as it was for a while only: ${fate}`);
      if (present !== error.table) this.#record.formerNames.add(error.table);
      if (present !== undefined) await this.leaveOut(present);
      return true;
    } finally {
      await source.end();
    }
  }

  async #outlivedValue(source: Client, { table, relation, cause }: ShapeDiffers): Promise<Outlived | undefined> {
    const { work, targetName, following } = this.#record;
    const target = await connect(work.target, { database: targetName, purpose: "look at a table" });
    const before = following.mark?.given?.types;
    const isOutlived = await isOutlivedValue({ source, target, relation, cause, before }).finally(() => target.end());
    return isOutlived ? { present: table } : undefined;
  }

  /** Those that are to be copied anew: their copy is outdated, and the stream does not know. */
  async outdated(source: Client): Promise<Set<string>> {
    const { work, database, following } = this.#record;
    const names = changeCaptureNames(work.wish, database);
    if (following.mark) return replacedSince(source, names, following.mark);
    // Begun by an earlier version.
    await this.#record.keep({ mark: await readSourceMark(source, names) });
    return new Set();
  }

  /** However many shapes the stream tells of that nobody has any more. */
  async join(objects: NewObjects, newTables: readonly Table[]): Promise<void> {
    try {
      for (let tables = newTables; !(await this.#isJoined(objects, tables));) {
        const joining = new Set(this.#record.following.joining);
        const present = await tablesInScope(objects.source, this.#record.work.wish);
        tables = present.filter(({ schema, name }) => joining.has(qualify(schema, name)));
      }
    } finally {
      if (!this.#stopped.aborted) this.#followers.start();
    }
  }

  /** False when one more table turns out to have outlived what the stream tells of it. */
  async #isJoined(objects: NewObjects, tables: readonly Table[]): Promise<boolean> {
    try {
      await this.#joinOnce(objects, tables);
      return true;
    } catch (error) {
      if (!(await this.outlives(error))) throw error;
      return false;
    }
  }

  async #joinOnce(objects: NewObjects, newTables: readonly Table[]): Promise<void> {
    const record = this.#record;
    const names = newTables.map(({ schema, name }) => qualify(schema, name));
    if (names.length > 0) await record.say(`new on the source, or replaced there, to be copied: ${names.join(", ")}`);
    await record.keep({ joining: names });
    await this.#followers.current.stop();
    const leaveOut = new Set([...names, ...record.formerNames]);
    const tables = await tablesInScope(objects.source, record.work.wish);
    const bridge = () => this.#followers.bridge(leaveOut);
    const { mark, ...restored } = await joinTables(objects, tables, newTables, bridge);
    await record.keep(adopted(record.following, restored));
    // The new mark knows nothing of what was replaced meanwhile and not copied with these.
    const outdated = await this.outdated(objects.source);
    const followed = tables.map(({ schema, name }) => qualify(schema, name));
    const joining = followed.filter((name) => outdated.has(name) && !names.includes(name));
    // What was there before has not been given to the target anew.
    const before = record.following.mark;
    const definitions = { ...mark.definitions, ...before?.definitions };
    const settings = { ...(await this.#settingsOf(objects, mark)), ...before?.settings };
    const given = before?.given ?? mark.given;
    await record.keep({ joining, followed, mark: { ...mark, definitions, settings, ...(given ? { given } : {}) } });
    this.#record.formerNames.clear();
  }
  /** Those that the target has by now: what was set on a table of before has not been given to it. */
  async #settingsOf({ target }: NewObjects, { settings = {} }: SourceMark): Promise<ObjectSettings> {
    const here = settingDigestsOf(await readObjectSettings(target));
    return Object.fromEntries(Object.entries(settings).filter(([key, digest]) => here[key] === digest));
  }
}
