import { targetDatabase } from "../../inputs/target-database.js";
import type { SkippedTables } from "../../cdc/decode/skip-tables.js";
import type { Table } from "../../postgres/tables.js";
import { everything, isCutRelation, type Selection } from "../../schema/plan/selection.js";
import { withoutSettingValues } from "../../schema/sql/statements.js";
import type { FollowedTables } from "../schema-diff/followed-tables.js";
import type { StreamState } from "./stream-state.js";
import type { Work } from "../context/work.js";

/** Tables of the source that are not copied yet, because other roles have taken their names on the target. */
export interface LeftOut {
  /** Their OIDs on the source, by the names that the stream uses. */
  readonly tables: ReadonlyMap<string, number>;
  /** Excludes them, and the objects that depend on them. */
  readonly selection: Selection;
}

/** The recorded state of one database's stream, and its events. */
export class StreamRecord {
  readonly work: Work;
  readonly database: string;
  /** Former names, qualified and quoted, by the OIDs of tables that were renamed or dropped. The stream still contains them. */
  readonly formerNames = new Map<number, string>();
  leftOut: LeftOut = { tables: new Map(), selection: everything };
  #following: StreamState;
  readonly #refusals = new Set<string>();
  #awaited: string | null = null;
  /** What the user sees instead, such as the statement of a pause. */
  #shown: string | null = null;

  constructor(work: Work, database: string, following: StreamState) {
    this.work = work;
    this.database = database;
    this.#following = following;
  }

  get targetName(): string {
    return targetDatabase(this.work.spec, this.database);
  }

  get following(): StreamState {
    return this.#following;
  }

  /** Tables whose changes are skipped until they are copied. */
  get skipped(): SkippedTables {
    const { joining = {}, mark, followed = mark?.names ?? {} } = this.#following;
    const names = [...Object.keys(joining), ...this.formerNames.values(), ...this.leftOut.tables.keys()];
    const oids = [...Object.values(joining), ...this.formerNames.keys(), ...this.leftOut.tables.values()];
    return { names, oids, kept: names.length === 0 ? [] : Object.keys(followed).map(Number) };
  }

  /** The copies of all tables that are not copied again. */
  get keptCopies(): FollowedTables {
    const { followed = {}, joining = {} } = this.#following;
    const joiningOids = new Set(Object.values(joining).map(String));
    return Object.fromEntries(Object.entries(followed).filter(([oid]) => !joiningOids.has(oid)));
  }

  /** The tables that are not left out. A followed table may depend on one that is. */
  withoutLeftOut(tables: readonly Table[]): Table[] {
    const { followed = {} } = this.#following;
    return tables.filter((table) => String(table.oid) in followed || !isCutRelation(this.leftOut.selection, table));
  }

  async keep(changes: Partial<StreamState>): Promise<void> {
    this.#following = { ...this.#following, ...changes };
    await this.work.journal.database(this.database, { deferredPlan: this.#following });
  }

  /**
   * Shows what the database waits for while its stream continues; null ends the wait.
   *
   * @param awaitedWindow the cutover window, unless it is over
   */
  showAwaited(message: string | null, awaitedWindow: string | null): Promise<void> {
    this.#awaited = message;
    return this.work.journal.database(this.database, { message: this.#shown ?? message, awaitedWindow });
  }

  /** Shows another message meanwhile; null shows again what the database waits for. */
  showMessage(message: string | null): Promise<void> {
    this.#shown = message;
    return this.work.journal.database(this.database, { message: message ?? this.#awaited });
  }

  report(message: string, level: "info" | "warning" = "info"): Promise<void> {
    return this.work.journal.event(message, { database: this.database, level });
  }

  reportCarriedStatement(sql: string): Promise<void> {
    return this.report(`carried over from the source: ${withoutSettingValues(sql)}`);
  }

  /** Reports a refusal once. The worker tries the statement again at each comparison of the schemas. */
  async reportFailedStatement(sql: string, why: string): Promise<void> {
    const text = `could not be carried over from the source: ${withoutSettingValues(sql)}: ${why}`;
    if (this.#refusals.has(text)) return;
    this.#refusals.add(text);
    await this.report(text, "warning");
  }
}
