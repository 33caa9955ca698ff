import { connect } from "../../postgres/connection/connect.js";
import { ConcurrentChangeError } from "../../errors.js";
import type { Client } from "pg";
import { ChangeRefused } from "../../cdc/apply/change-refused.js";
import { NamesExchanged, ShapeDiffers } from "../../cdc/binding/table-mapping.js";
import { type BlockingSession, describeBlockers, endingStatement } from "../../postgres/locks/blocking-sessions.js";
import { changeCaptureNames } from "../../cdc/model/names.js";
import { qualify } from "../../postgres/identifiers.js";
import { listTables, type Table } from "../../postgres/tables.js";
import { type ObjectSettings, readObjectSettings, settingDigestsOf } from "../../schema/catalogue/object-settings.js";
import { type FollowedTables, pairByName } from "../schema-diff/followed-tables.js";
import type { Followers } from "../followers/followers.js";
import { mergeRestored } from "../followers/stream-state.js";
import { addTablesToStream } from "./add-tables-to-stream.js";
import type { NewObjects } from "./new-objects.js";
import {
  isTransientValueError,
  type TransientSchemaChange,
  transientIdentity,
  transientSchemaChange,
} from "./transient-schema-change.js";
import {
  readSchemaBaseline,
  replacedSince,
  type SchemaBaseline,
  withNewObjects,
} from "../schema-diff/schema-baseline.js";
import { readTakenNames } from "./taken-names.js";
import type { StreamRecord } from "../followers/stream-record.js";
import { tablesInScope } from "../context/tables-in-scope.js";

/** Adds tables to a running stream: new tables, and tables that are copied again. */
export class TableResync {
  readonly #record: StreamRecord;
  readonly #followers: Followers;
  readonly #stopped: AbortSignal;

  constructor(record: StreamRecord, followers: Followers, stopped: AbortSignal) {
    this.#record = record;
    this.#followers = followers;
    this.#stopped = stopped;
  }

  /** Whether the stream contains changes that have to be skipped, even if there is no table to copy. */
  get areDue(): boolean {
    return this.#record.formerNames.size > 0;
  }

  /**
   * Leaves out a table's changes from the next follower on, until the table is copied.
   *
   * @param oid of the table on the source
   */
  async skip(table: string, oid: number): Promise<void> {
    await this.#record.keep({ joining: { ...this.#record.following.joining, [table]: oid } });
  }

  /**
   * Follows tables that were renamed, dropped or replaced on the source before they were copied. A dropped table is no
   * longer waited for. The stream still contains the changes of the former name.
   *
   * A table with a name that the filters exclude may get its former name back. It is waited for until its copy is moved away on the
   * target. Later, the target lacks the table, which is then copied as a new one.
   *
   * A copy that was begun on the target is recorded, so that no stale copy remains there without a message.
   */
  async updateJoining(source: Client, sourceTables: readonly Table[], targetTables: readonly Table[]): Promise<void> {
    const { joining = {}, followed: before = {} } = this.#record.following;
    const names = new Map(sourceTables.map((table) => [table.oid, nameOfTable(table)]));
    const oids = new Map(sourceTables.map((table) => [nameOfTable(table), table.oid]));
    const moved = Object.entries(joining).filter(([name, oid]) => names.get(oid) !== name);
    if (moved.length === 0) return;
    const now = new Map(Object.entries(joining).filter(([name, oid]) => names.get(oid) === name));
    const followed = { ...begunCopies(moved, targetTables, before), ...before };
    const copies = new Set(targetTables.map(({ oid }) => oid));
    const existing = new Set((await listTables(source)).map(({ oid }) => oid));
    for (const [name, oid] of moved) {
      const [present, replacement] = [names.get(oid), oids.get(name)];
      if (present !== undefined) now.set(present, oid);
      if (replacement !== undefined) now.set(name, replacement);
      else if (present === undefined && existing.has(oid) && copies.has(followed[oid]!)) now.set(name, oid);
      else this.#record.formerNames.set(oid, name);
    }
    await this.#record.keep({ joining: Object.fromEntries(now), followed });
    const missing = moved.map(([name]) => name).filter((name) => !now.has(name));
    if (missing.length === 0) return;
    await this.#record.report(`not copied, because it was dropped or renamed on the source: ${missing.join(", ")}`);
  }

  /**
   * Whether the follower failed at a definition that the table no longer has, so that no target can be given it. The changes of
   * the table are then left out until it is copied again.
   */
  async skipReplacedDefinition(error: unknown): Promise<boolean> {
    if (!(error instanceof ShapeDiffers || error instanceof ChangeRefused)) return false;
    const { work, database } = this.#record;
    const source = await connect(work.source, { database, purpose: "look at a table" });
    try {
      if (error instanceof NamesExchanged) return await this.#skipExchanged(source, error);
      const replaced =
        error instanceof ChangeRefused
          ? await transientIdentity(source, error.relation)
          : ((await transientSchemaChange(source, error.relation)) ?? (await this.#findTransientValue(source, error)));
      if (!replaced) return error instanceof ShapeDiffers && (await this.#omitExcluded(source, error));
      const { present } = replaced;
      const result = present === undefined ? "it no longer exists" : `${present} is copied again`;
      await this.#record.report(`the stream describes ${error.table} with a definition that was replaced: ${result}`);
      if (present !== error.table) this.#record.formerNames.set(error.relation.oid, error.table);
      if (present !== undefined) await this.skip(present, error.relation.oid);
      return true;
    } finally {
      await source.end();
    }
  }

  /**
   * Whether the table got a name that the filters exclude. Its changes are left out until the next join unpublishes it. If it gets
   * its former name back before, it is copied again.
   */
  async #omitExcluded(source: Client, { table, relation }: ShapeDiffers): Promise<boolean> {
    const inScope = await tablesInScope(source, this.#record.work.spec);
    if (inScope.some(({ oid }) => oid === relation.oid)) return false;
    await this.#record.report(
      `${table} was renamed, and the filters exclude it now: its changes are left out`,
      "warning",
    );
    await this.skip(table, relation.oid);
    return true;
  }

  /** Leaves out the changes of the table that the stream describes, and of the one that had its name. Both are copied again. */
  async #skipExchanged(source: Client, { table, relation }: NamesExchanged): Promise<true> {
    const { names = {} } = this.#record.following.mark ?? {};
    const isConcerned = ({ oid }: Table): boolean => oid === relation.oid || names[oid] === table;
    const present = (await tablesInScope(source, this.#record.work.spec)).filter(isConcerned);
    const copied = present.map(nameOfTable);
    await this.#record.report(
      `tables or columns of the source have exchanged their names; to be copied again: ${copied.join(", ") || "none, because they were dropped"}`,
    );
    if (!present.some((one) => one.oid === relation.oid && nameOfTable(one) === table))
      this.#record.formerNames.set(relation.oid, table);
    for (const one of present) await this.skip(nameOfTable(one), one.oid);
    return true;
  }

  async #findTransientValue(
    source: Client,
    { table, relation, cause }: ShapeDiffers,
  ): Promise<TransientSchemaChange | undefined> {
    const { work, targetName, following } = this.#record;
    const target = await connect(work.target, { database: targetName, purpose: "look at a table" });
    const before = following.mark?.given?.types;
    const isTransient = await isTransientValueError({ source, target, relation, cause, before }).finally(() =>
      target.end(),
    );
    return isTransient ? { present: table } : undefined;
  }

  /** Changes nothing, so that it may run at any time. @throws PublicationAltered */
  async requirePublications(source: Client): Promise<void> {
    const { work, database, following } = this.#record;
    if (following.mark) await replacedSince(source, changeCaptureNames(work.spec, database), following.mark);
  }

  /** The tables to copy again: the stream does not contain all their changes. */
  async outdated(source: Client): Promise<Set<string>> {
    const { work, database, following } = this.#record;
    const names = changeCaptureNames(work.spec, database);
    if (following.mark) return replacedSince(source, names, following.mark);
    // Without a baseline, the present schema becomes the baseline.
    await this.#record.keep({ mark: await readSchemaBaseline(source, names) });
    return new Set();
  }

  /**
   * Returns false if the stream describes another table with a definition that was replaced. That table is then recorded to be
   * copied, too. Compare the schemas again before the next call: the target may still have its copy under a former name.
   */
  async join(objects: NewObjects, newTables: readonly Table[]): Promise<boolean> {
    try {
      await this.#joinOnce(objects, newTables);
      return true;
    } catch (error) {
      if (!(await this.skipReplacedDefinition(error))) throw error;
      return false;
    } finally {
      if (!this.#stopped.aborted) this.#followers.start();
    }
  }

  async #joinOnce(objects: NewObjects, newTables: readonly Table[]): Promise<void> {
    const record = this.#record;
    const names = newTables.map(nameOfTable);
    if (names.length > 0)
      await record.report(`new on the source, or replaced there, to be copied: ${names.join(", ")}`);
    // Others may wait for their copy, too: their changes are left out until then.
    await record.keep({ joining: { ...record.following.joining, ...joiningOf(newTables) } });
    await this.#followers.current.stop();
    const skip = record.skipped;
    const tables = await this.#tablesInScope(objects);
    const bridge = () => this.#followers.bridge(skip);
    const onCreated = async (): Promise<void> =>
      record.keep({ followed: await this.#pairs(objects, tables, newTables) });
    const onWaiting = transactionReporter(record);
    const signal = AbortSignal.any([record.work.signal, this.#stopped]);
    const tablesToAdd = { tables, newTables, bridge, onCreated, onWaiting, signal };
    const { mark, postponed, ...restored } = await addTablesToStream(objects, tablesToAdd);
    await record.keep(mergeRestored(record.following, restored));
    // The new baseline does not show which other tables were replaced meanwhile.
    const outdated = await this.outdated(objects.source);
    const followed = await this.#pairs(objects, tables, newTables);
    const waiting = Object.entries(record.following.joining ?? {}).filter(([name]) => !names.includes(name));
    const isReplaced = (name: string): boolean => outdated.has(name) && !names.includes(name);
    const replaced = joiningOf(tables.filter((table) => isReplaced(nameOfTable(table))));
    const later = joiningOf(newTables.filter((table) => postponed.has(nameOfTable(table))));
    const joining = { ...Object.fromEntries(waiting), ...replaced, ...later };
    // Older objects were not applied to the target again.
    const before = record.following.mark;
    const definitions = { ...mark.definitions, ...before?.definitions };
    const objectKeys = { ...mark.objectKeys, ...before?.objectKeys };
    const settings = { ...(await this.#settingsOf(objects, mark)), ...before?.settings };
    const given =
      before?.given && mark.given ? withNewObjects(before.given, mark.given) : (before?.given ?? mark.given);
    // The snapshot was copied by name: the columns of its tables are paired by the names of the new baseline.
    const copied = new Set(newTables.filter((table) => !(nameOfTable(table) in later)).map(({ oid }) => String(oid)));
    const columns = Object.entries(record.following.followedColumns ?? {}).filter(([oid]) => !copied.has(oid));
    await record.keep({
      ...{ joining, followed, followedColumns: Object.fromEntries(columns) },
      mark: { ...mark, definitions, objectKeys, settings, ...(given ? { given } : {}) },
    });
    this.#record.formerNames.clear();
  }

  async #tablesInScope({ source }: NewObjects): Promise<Table[]> {
    return this.#record.withoutLeftOut(await tablesInScope(source, this.#record.work.spec));
  }

  /** @throws ConcurrentChangeError when another role took a name since the schemas were compared */
  async #pairs(objects: NewObjects, tables: readonly Table[], copied: readonly Table[]): Promise<FollowedTables> {
    const { followed = {} } = this.#record.following;
    const targetTables = await listTables(objects.target);
    // With dataOnly the operator prepared the tables.
    const taken = this.#record.work.spec.dataOnly ? [] : await readTakenNames(objects, tables, targetTables, followed);
    if (taken.length > 0)
      throw new ConcurrentChangeError(
        `other roles created ${taken.map(({ table }) => table).join(", ")} on the target before they were copied`,
        { remedy: "none needed: the schema is compared again" },
      );
    return pairByName(followed, tables, targetTables, new Set(copied.map(({ oid }) => oid)));
  }

  /** The settings that the target has. Settings of older tables were not applied to it. */
  async #settingsOf({ target }: NewObjects, { settings = {} }: SchemaBaseline): Promise<ObjectSettings> {
    const onTarget = settingDigestsOf(await readObjectSettings(target));
    return Object.fromEntries(Object.entries(settings).filter(([key, digest]) => onTarget[key] === digest));
  }
}

const nameOfTable = ({ schema, name }: Table): string => qualify(schema, name);

const joiningOf = (tables: readonly Table[]): Readonly<Record<string, number>> =>
  Object.fromEntries(tables.map((table) => [nameOfTable(table), table.oid]));

/** Tables that an interrupted join created on the target. */
function begunCopies(
  joining: readonly (readonly [string, number])[],
  targetTables: readonly Table[],
  followed: FollowedTables,
): FollowedTables {
  const known = new Set(Object.values(followed));
  const copies = new Map(targetTables.map((table) => [nameOfTable(table), table.oid]));
  return Object.fromEntries(
    joining.flatMap(([name, oid]) => {
      const copy = copies.get(name);
      return copy === undefined || known.has(copy) ? [] : [[String(oid), copy]];
    }),
  );
}

/** Reports the transactions that a snapshot waits for, again only when they are others. */
function transactionReporter(record: StreamRecord): (sessions: readonly BlockingSession[]) => void {
  let reported = "";
  return (sessions) => {
    const who = sessions.map(({ pid, preparedAs }) => pid ?? preparedAs ?? "").join();
    if (who === reported) return;
    reported = who;
    const named = describeBlockers(sessions);
    const ends = sessions.map(endingStatement).join("; ");
    const message = `new tables are copied when older transactions on the source end; ${named}; to end them: ${ends}`;
    // A lost event does not stop the copy.
    void record.report(message, "warning").catch(() => undefined);
  };
}
