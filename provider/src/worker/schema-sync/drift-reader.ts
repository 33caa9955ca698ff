import { isDeepStrictEqual } from "node:util";
import { qualify } from "../../postgres/identifiers.js";
import { listTables, type Table } from "../../postgres/tables.js";
import { tableRules } from "../../schema/catalogue/kinds/relations/tables.js";
import { isCutRelation } from "../../schema/plan/selection.js";
import { withoutSemicolon } from "../../schema/sql/statements.js";
import { tablesInScope } from "../context/tables-in-scope.js";
import type { Followers } from "../followers/followers.js";
import type { StreamRecord } from "../followers/stream-record.js";
import { type FollowedTables, tablesWithOthersCopies } from "../schema-diff/followed-tables.js";
import { isKeptSchema } from "../schema-diff/kept-tables.js";
import type { PausingChange } from "../schema-diff/schema-change.js";
import { readDrift, type SchemaDrift } from "../schema-diff/schema-drift.js";
import { runAdditions } from "./carried-statement.js";
import { LeftOutTables } from "./left-out-tables.js";
import type { MissingObjects } from "./missing-objects.js";
import { type NewObjects, tableEntries } from "./new-objects.js";
import type { TableResync } from "./table-resync.js";

/** Compares the schemas of both servers, and records which tables and columns belong together. */
export class DriftReader {
  readonly leftOut: LeftOutTables;
  readonly #record: StreamRecord;
  readonly #followers: Followers;
  readonly #joins: TableResync;
  readonly #missing: MissingObjects;

  constructor(record: StreamRecord, followers: Followers, joins: TableResync, missing: MissingObjects) {
    this.leftOut = new LeftOutTables(record, joins);
    this.#record = record;
    this.#followers = followers;
    this.#joins = joins;
    this.#missing = missing;
  }

  /** Also prepares the target: renames objects, and creates types and similar objects that new columns may need. */
  async prepared(objects: NewObjects): Promise<SchemaDrift> {
    const before = await this.#driftOfReleased(objects);
    // With a former name of its schema, an object cannot get its new name.
    const isCarried = this.#record.work.spec.schemaChanges === "carry" && before.awaitedSchemas.size === 0;
    const isRenamed = await this.#missing.names.follow(objects, isCarried);
    // Defaults and constraints of the target now print the new names.
    const drift = isRenamed ? await this.read(objects) : before;
    if (isCarried && drift.additions.length + drift.pausing.length > 0)
      await this.#missing.restorePrerequisites(objects, drift.renamedTypes);
    return drift;
  }

  /** Recorded before the columns are added again: the tables look complete then, but lack values. */
  async skipTablesWithLostColumns({ tablesWithLostColumns, newTables }: SchemaDrift): Promise<void> {
    const oids = new Map(newTables.map(({ schema, name, oid }) => [qualify(schema, name), oid]));
    for (const table of tablesWithLostColumns) {
      await this.#joins.skip(table, oids.get(table)!);
      await this.#record.report(
        `${table} has lost columns on the target, and their values: it is copied again`,
        "warning",
      );
    }
  }

  /** Compares again after tables are detached, because only then their other differences show. */
  async #driftOfReleased(objects: NewObjects): Promise<SchemaDrift> {
    const drift = await this.read(objects);
    if (drift.releases.length === 0) return drift;
    await runAdditions(this.#record, this.#followers, objects, drift.releases);
    return this.read(objects);
  }

  /** Also updates which tables are left out. @returns the source's tables in scope, and the target's tables */
  async readTables({ source, target }: NewObjects): Promise<readonly [readonly Table[], readonly Table[]]> {
    const { work, following } = this.#record;
    const inScope = await tablesInScope(source, work.spec);
    const targetTables = (await listTables(target)).filter(({ schema }) => !isKeptSchema(schema));
    if (!following.followed) await this.#record.keep({ followed: this.#followedAtFirst(targetTables) });
    await this.leftOut.update({ source, target }, inScope, targetTables);
    return [inScope, targetTables];
  }

  async read(objects: NewObjects): Promise<SchemaDrift> {
    const { source, target } = objects;
    const record = this.#record;
    const [inScope, targetTables] = await this.readTables(objects);
    const onTarget = new Set(targetTables.map(({ schema, name }) => qualify(schema, name)));
    const sourceTables = record.withoutLeftOut(inScope);
    await this.#joins.updateJoining(source, inScope, targetTables);
    const replaced = await this.#joins.outdated(source);
    const { joining = {}, mark, followed = {} } = record.following;
    const outdated = new Set([...replaced, ...tablesWithOthersCopies(followed, sourceTables, targetTables)]);
    const { followedColumns = {}, followedTypes = {}, followedRules = {}, followedSchemas = {} } = record.following;
    const known = { followedColumns, followedTypes, followedRules, followedSchemas };
    const { schemaChanges } = record.work.spec;
    const sides = { source, target, sourceTables, targetTables };
    const drift = await readDrift({ ...sides, ...known, followed, mark, outdated, schemaChanges });
    if (!isDeepStrictEqual(drift.counterparts, known)) await record.keep(drift.counterparts);
    const isNew = new Set(drift.newTables);
    const again = sourceTables.filter((one) => {
      const { schema, name } = one;
      const table = qualify(schema, name);
      // Another table has its name until the schema is renamed.
      if (isNew.has(one) || drift.awaitedSchemas.has(schema)) return false;
      return onTarget.has(table) && (outdated.has(table) || table in joining || drift.tablesWithLostColumns.has(table));
    });
    if (schemaChanges === "carry") return { ...drift, newTables: [...drift.newTables, ...again] };
    return { ...drift, newTables: again, pausing: await this.#withCreations(objects, drift) };
  }

  /** Asks the operator to create new tables, and what they and new columns need. Their rows are copied afterwards. */
  async #withCreations(objects: NewObjects, drift: SchemaDrift): Promise<readonly PausingChange[]> {
    if (drift.newTables.length + drift.pausing.length === 0 || drift.awaitedSchemas.size > 0) return drift.pausing;
    const prerequisites = await this.#missing.prerequisites(objects, drift.renamedTypes);
    if (drift.newTables.length === 0) return [...prerequisites, ...drift.pausing];
    for (const { schema, name, oid } of drift.newTables) await this.#joins.skip(qualify(schema, name), oid);
    const created = (await tableEntries(objects, drift.newTables)).map(({ schema, name, sql }): PausingChange => {
      const tables = [qualify(schema ?? "", name)];
      return { rule: tableRules.created, sql: withoutSemicolon(sql), tables, runBy: "operator" };
    });
    return [...prerequisites, ...created, ...drift.pausing];
  }

  /**
   * The tables of the initial copy, including those that got an excluded name since. Tables that another user created on the
   * target are not among them. Such a table must never be taken for a copy whose original was dropped.
   */
  #followedAtFirst(targetTables: readonly Table[]): FollowedTables {
    const { without, mark } = this.#record.following;
    const cut = new Set(without);
    const copied = Object.entries(mark?.names ?? {}).filter(([oid]) => !isCutRelation({ cut }, { oid: Number(oid) }));
    const own = targetTables.filter(({ extensionConfiguration }) => !extensionConfiguration);
    const copies = new Map(own.map(({ schema, name, oid }) => [qualify(schema, name), oid]));
    return Object.fromEntries(copied.flatMap(([oid, name]) => (copies.has(name) ? [[oid, copies.get(name)!]] : [])));
  }
}
