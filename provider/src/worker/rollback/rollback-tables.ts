import type { Client } from "pg";
import type { Relation } from "../../cdc/model/change.js";
import { RefusedError } from "../../errors.js";
import { type RelationName, qualify } from "../../postgres/identifiers.js";
import { type Table, listTables } from "../../postgres/tables.js";
import type { PostCutoverPlan } from "../initial-copy/post-cutover-plan.js";

/** The table of the source for a table of the target, when the rollback replication started. */
export interface RollbackTable {
  /** Its OID on the source. */
  readonly source: number;
  /** The columns that both have; empty if the servers have them in different orders. */
  readonly columns: readonly string[];
}

/** By OID of a table on the target. Names change on both servers, OIDs do not. */
export type RollbackTables = Readonly<Record<string, RollbackTable>>;

/** What a rollback replication needs of the cutover. Plain JSON, stored for a successor. */
export interface RollbackPlan extends PostCutoverPlan {
  readonly rollbackTables?: RollbackTables;
}

/** Pairs tables of the same name. */
export function pairRollbackTables(onTarget: readonly Table[], onSource: readonly Table[]): RollbackTables {
  const counterparts = new Map(onSource.map((table) => [nameOf(table), table]));
  return Object.fromEntries(
    onTarget.flatMap((table) => {
      const counterpart = counterparts.get(nameOf(table));
      return counterpart
        ? [[table.oid, { source: counterpart.oid, columns: columnsInSameOrder(table, counterpart) }]]
        : [];
    }),
  );
}

/** The source's tables for the tables of the target's stream, as of {@link read}. */
export class RollbackTableNames {
  readonly #tables: RollbackTables;
  #onSource: ReadonlyMap<number, Table> = new Map();
  /** Names of the source's tables for tables that the target had at the start, and may have renamed or dropped since. */
  #taken: ReadonlySet<string> = new Set();

  constructor(tables: RollbackTables) {
    this.#tables = tables;
  }

  /** Reads the present names on the source. */
  async read(source: Client): Promise<(relation: Relation) => RelationName> {
    this.#onSource = new Map((await listTables(source)).map((table) => [table.oid, table]));
    const paired = Object.values(this.#tables).flatMap(({ source: oid }) => this.#onSource.get(oid) ?? []);
    this.#taken = new Set(paired.map(nameOf));
    // A table without counterpart, such as a new partition, is found by its name.
    return (relation) => this.#counterpart(relation) ?? relation;
  }

  /** Whether the source has another table, or other columns, under the names of this relation. */
  isExchanged(relation: Relation): boolean {
    const counterpart = this.#counterpart(relation);
    if (!counterpart) return this.#taken.has(nameOf(relation));
    // The stream has the columns in the order of their attribute numbers, which never change.
    const paired = new Set(this.#tables[relation.oid]!.columns);
    const names = counterpart.columns.map(({ name }) => name);
    const places = relation.columns.filter(({ name }) => paired.has(name)).map(({ name }) => names.indexOf(name));
    return !isAscending(places.filter((place) => place >= 0));
  }

  #counterpart({ oid }: Relation): Table | undefined {
    const paired = this.#tables[oid];
    return paired && this.#onSource.get(paired.source);
  }
}

/**
 * A return compares tables by name, and applications expect the target's names.
 *
 * @throws RefusedError naming the tables that were renamed
 */
export async function requireSameNames(
  database: string,
  tables: RollbackTables,
  target: Client,
  source: Client,
): Promise<void> {
  const onSource = new Map((await listTables(source)).map((table) => [table.oid, nameOf(table)]));
  const renamed = (await listTables(target)).flatMap((table) => {
    const [present, former] = [nameOf(table), onSource.get(tables[table.oid]?.source ?? 0)];
    return former === undefined || former === present ? [] : [`${former} to ${present}`];
  });
  if (renamed.length === 0) return;
  throw new RefusedError(`${database} cannot be returned: the target has renamed ${renamed.join(", ")}`, {
    remedy:
      "on the target, give these tables their former names, which the source still has; then return again, or set rollback to drop",
    code: "PGM-503",
  });
}

const nameOf = ({ schema, name }: RelationName): string => qualify(schema, name);

function columnsInSameOrder(one: Table, other: Table): string[] {
  const names = other.columns.map(({ name }) => name);
  const shared = one.columns.map(({ name }) => name).filter((name) => names.includes(name));
  return isAscending(shared.map((name) => names.indexOf(name))) ? shared : [];
}

const isAscending = (places: readonly number[]): boolean =>
  places.every((place, index) => place > (places[index - 1] ?? -1));
