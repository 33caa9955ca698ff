import { connect } from "../../postgres/connection/connect.js";
import type { Client } from "pg";
import { ShapeDiffers } from "../../cdc/binding/table-mapping.js";
import { changeCaptureNames } from "../../cdc/model/names.js";
import { qualify } from "../../postgres/identifiers.js";
import { listTables, type Table } from "../../postgres/tables.js";
import { type ObjectSettings, readObjectSettings, settingDigestsOf } from "../../schema/catalogue/object-settings.js";
import { type FollowedTables, pairByName } from "../schema-diff/followed-tables.js";
import type { Followers } from "../followers/followers.js";
import { mergeRestored } from "../followers/stream-state.js";
import { addTablesToStream } from "./add-tables-to-stream.js";
import type { NewObjects } from "./new-objects.js";
import { type TransientSchemaChange, transientSchemaChange } from "./transient-schema-change.js";
import { isTransientValueError } from "./transient-value-error.js";
import { readSchemaBaseline, replacedSince, type SchemaBaseline } from "../schema-diff/schema-baseline.js";
import type { StreamRecord } from "../followers/stream-record.js";
import { tablesInScope } from "../context/tables-in-scope.js";

/** How tables come to a stream that is followed already: new ones, and those that are copied anew. */
export class TableResync {
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
  async skip(table: string): Promise<void> {
    await this.#record.keep({ joining: [...new Set(this.#record.following.joining).add(table)] });
  }

  /**
   * Tables that were dropped or renamed on the source before they were copied: nothing waits for their copies any longer.
   * The stream still contains their changes.
   */
  async forgetMissing(sourceTables: readonly Table[]): Promise<void> {
    const { joining = [] } = this.#record.following;
    const present = new Set(sourceTables.map(({ schema, name }) => qualify(schema, name)));
    const missing = joining.filter((name) => !present.has(name));
    if (missing.length === 0) return;
    for (const name of missing) this.#record.formerNames.add(name);
    await this.#record.keep({ joining: joining.filter((name) => present.has(name)) });
    await this.#record.say(`not copied, because it was dropped or renamed on the source: ${missing.join(", ")}`);
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
      const outlived =
        (await transientSchemaChange(source, error.relation)) ?? (await this.#outlivedValue(source, error));
      if (!outlived) return false;
      const { present } = outlived;
      const fate = present === undefined ? "it is gone by now" : `${present} is copied anew`;
      await this.#record.say(`the stream tells of ${error.table} as it was for a while only: ${fate}`);
      if (present !== error.table) this.#record.formerNames.add(error.table);
      if (present !== undefined) await this.skip(present);
      return true;
    } finally {
      await source.end();
    }
  }

  async #outlivedValue(
    source: Client,
    { table, relation, cause }: ShapeDiffers,
  ): Promise<TransientSchemaChange | undefined> {
    const { work, targetName, following } = this.#record;
    const target = await connect(work.target, { database: targetName, purpose: "look at a table" });
    const before = following.mark?.given?.types;
    const isOutlived = await isTransientValueError({ source, target, relation, cause, before }).finally(() =>
      target.end(),
    );
    return isOutlived ? { present: table } : undefined;
  }

  /** Those that are to be copied anew: their copy is outdated, and the stream does not know. */
  async outdated(source: Client): Promise<Set<string>> {
    const { work, database, following } = this.#record;
    const names = changeCaptureNames(work.spec, database);
    if (following.mark) return replacedSince(source, names, following.mark);
    // Begun by an earlier version.
    await this.#record.keep({ mark: await readSchemaBaseline(source, names) });
    return new Set();
  }

  /** However many shapes the stream tells of that nobody has any more. */
  async join(objects: NewObjects, newTables: readonly Table[]): Promise<void> {
    try {
      for (let tables = newTables; !(await this.#isJoined(objects, tables));) {
        const joining = new Set(this.#record.following.joining);
        const present = await tablesInScope(objects.source, this.#record.work.spec);
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
    const skip = new Set([...names, ...record.formerNames]);
    const tables = await tablesInScope(objects.source, record.work.spec);
    const bridge = () => this.#followers.bridge(skip);
    const onCreated = async (): Promise<void> => record.keep({ followed: await this.#pairs(objects, tables) });
    const { mark, ...restored } = await addTablesToStream(objects, { tables, newTables, bridge, onCreated });
    await record.keep(mergeRestored(record.following, restored));
    // The new mark knows nothing of what was replaced meanwhile and not copied with these.
    const outdated = await this.outdated(objects.source);
    const followed = await this.#pairs(objects, tables);
    const published = tables.map(({ schema, name }) => qualify(schema, name));
    const joining = published.filter((name) => outdated.has(name) && !names.includes(name));
    // What was there before has not been given to the target anew.
    const before = record.following.mark;
    const definitions = { ...mark.definitions, ...before?.definitions };
    const settings = { ...(await this.#settingsOf(objects, mark)), ...before?.settings };
    const given = before?.given ?? mark.given;
    await record.keep({ joining, followed, mark: { ...mark, definitions, settings, ...(given ? { given } : {}) } });
    this.#record.formerNames.clear();
  }

  async #pairs({ target }: NewObjects, tables: readonly Table[]): Promise<FollowedTables> {
    return pairByName(this.#record.following.followed ?? {}, tables, await listTables(target));
  }

  /** Those that the target has by now: what was set on a table of before has not been given to it. */
  async #settingsOf({ target }: NewObjects, { settings = {} }: SchemaBaseline): Promise<ObjectSettings> {
    const here = settingDigestsOf(await readObjectSettings(target));
    return Object.fromEntries(Object.entries(settings).filter(([key, digest]) => here[key] === digest));
  }
}
