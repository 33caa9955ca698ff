import type { Client } from "pg";
import { Refused } from "../errors.js";
import { qualify, quoteIdentifier } from "../postgres/identifiers.js";
import { type Column, type Table, listTables } from "../postgres/tables.js";
import type { Relation } from "./change.js";
import { equalityOperators } from "./equality.js";

/** How the changes of one shape of a source table are written to the target's table of the same name. */
export interface Binding {
  /** The target's table, qualified and quoted. */
  readonly name: string;
  /** As it stands in FROM and UPDATE: with ONLY, unless it is partitioned, since children's changes come by themselves. */
  readonly only: string;
  readonly relation: Relation;
  /** The target's column for each of the relation's fields, matched by name. */
  readonly columns: readonly Column[];
  /** Fields that can be written: all but those the target computes. */
  readonly stored: readonly number[];
  /** Stored columns of the target that the source does not have. */
  readonly unmatched: readonly Column[];
  /** Fields that name a row; empty when none do. */
  readonly key: readonly number[];
  /** `=` for each of the key's fields, as the index on the target understands it. */
  readonly equality: readonly string[];
  /** Rows have a key; else they are found by their whole content. */
  readonly keyed: boolean;
  /** The temporary table that changes pass through. */
  readonly staging: string;
}

/** The stream describes a table in a shape that the target's table does not have. */
export type RelationChangeHook = (relation: Relation, missing: readonly string[]) => Promise<void>;

/** The bindings of one target session, made from its catalogue as the stream names tables. */
export class Bindings {
  readonly #target: Client;
  readonly #onMissing: RelationChangeHook | undefined;
  readonly #bound = new Map<Relation, Binding>();
  readonly #latest = new Map<string, Binding>();
  #tables: Map<string, Table> | undefined;
  #made = 0;

  constructor(target: Client, onMissing: RelationChangeHook | undefined) {
    this.#target = target;
    this.#onMissing = onMissing;
  }

  /** @throws Refused when the target lacks the table or a column, and nobody adds it */
  async bind(relation: Relation): Promise<Binding> {
    const known = this.#bound.get(relation);
    if (known) return known;
    const name = qualify(relation.schema, relation.name);
    const latest = this.#latest.get(name);
    // The source describes a table again without need, too.
    const binding = latest && sameShape(latest.relation, relation) ? latest : await this.#make(relation, name);
    this.#bound.set(relation, binding);
    this.#latest.set(name, binding);
    return binding;
  }

  knows(relation: Relation): boolean {
    return this.#bound.has(relation);
  }

  /** @throws Error for a relation that was not bound before */
  of(relation: Relation): Binding {
    const binding = this.#bound.get(relation);
    if (!binding) throw new Error(`${relation.schema}.${relation.name} is not bound`);
    return binding;
  }

  async #make(relation: Relation, name: string): Promise<Binding> {
    const table = await this.#matchingTable(relation, name);
    const columns = relation.columns.map(({ name: column }) => table.columns.find((other) => other.name === column)!);
    const fields = columns.map((_, field) => field);
    const stored = fields.filter((field) => !columns[field]!.generated);
    const key = keyFields(relation, table);
    return {
      name,
      only: table.partitioned ? name : `ONLY ${name}`,
      relation,
      columns,
      stored,
      unmatched: table.columns.filter((column) => !column.generated && !columns.includes(column)),
      key,
      equality: await equalityOperators(
        this.#target,
        key.map((field) => columns[field]!),
      ),
      keyed: key.length > 0,
      staging: `pg_temp.${quoteIdentifier(`pg_migration_${++this.#made}`)}`,
    };
  }

  async #matchingTable(relation: Relation, name: string): Promise<Table> {
    let missing = await this.#missingIn(relation, this.#tables !== undefined);
    if (missing.length > 0) missing = await this.#missingIn(relation, false);
    if (missing.length > 0 && this.#onMissing) {
      await this.#onMissing(relation, missing);
      missing = await this.#missingIn(relation, false);
    }
    const table = this.#tables!.get(name);
    if (table && missing.length === 0) return table;
    throw new Refused(
      table
        ? `the target's table ${name} lacks ${missing.join(", ")}, which the source's has: it was altered during the migration`
        : `the target has no table ${name}, which the source has: it was created or renamed during the migration`,
      {
        remedy: table
          ? `on the target, ${missing.map((column) => `ALTER TABLE ${name} ADD COLUMN ${quoteIdentifier(column)} ...`).join("; ")} as on the source; the migration then goes on`
          : `create ${name} on the target as on the source; the migration then goes on`,
        code: "603130",
      },
    );
  }

  async #missingIn(relation: Relation, useKnown: boolean): Promise<string[]> {
    if (!useKnown || !this.#tables) {
      const tables = await listTables(this.#target);
      this.#tables = new Map(tables.map((table) => [qualify(table.schema, table.name), table]));
    }
    const table = this.#tables.get(qualify(relation.schema, relation.name));
    const has = new Set(table?.columns.map(({ name }) => name));
    const missing = relation.columns.map(({ name }) => name).filter((name) => !has.has(name));
    return table ? missing : ["the table"];
  }
}

/** Under REPLICA IDENTITY FULL the whole old row comes, so the target's primary key names it as well. */
function keyFields(relation: Relation, table: Table): number[] {
  const fieldOf = (name: string): number => relation.columns.findIndex((column) => column.name === name);
  const identity =
    relation.replicaIdentity === "f"
      ? table.primaryKey.map(fieldOf)
      : relation.columns.flatMap((column, field) => (column.key ? [field] : []));
  const usable = identity.every((field) => field >= 0);
  return usable ? identity : [];
}

const sameShape = (one: Relation, other: Relation): boolean =>
  one.oid === other.oid &&
  one.replicaIdentity === other.replicaIdentity &&
  JSON.stringify(one.columns) === JSON.stringify(other.columns);
