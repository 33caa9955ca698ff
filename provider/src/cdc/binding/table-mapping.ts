import type { Client } from "pg";
import { RefusedError } from "../../errors.js";
import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import { type Column, type Table, listTables } from "../../postgres/tables.js";
import { type Relation, type RelationColumn, isSameShape } from "../model/change.js";
import { equalityOperators } from "./equality.js";
import { migrationRoles, type StreamRoles } from "../model/stream-roles.js";
import { type RowLookup, rowLookup } from "./row-lookup.js";
import { TextFormatRequired, type ValueForm } from "../model/value-form.js";

/** The stream describes a table in a shape that the target's table does not have. */
export class ShapeDiffers extends RefusedError {
  constructor(
    /** Qualified and quoted. */
    readonly table: string,
    readonly relation: Relation,
    ...details: ConstructorParameters<typeof RefusedError>
  ) {
    super(...details);
  }
}

/** Object identifiers below it are the same on every server (manual, "System Catalog Initial Data"). */
const firstUserOid = 16384;

/** How the changes of one shape of a source table are written to the target's table of the same name. */
export interface TableMapping {
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
  /** The first of the key's fields, as far as sorting by them costs little. */
  readonly sorted: readonly number[];
  /** Rows have a key; else they are found by their whole content. */
  readonly keyed: boolean;
  /** How a row that has no key is found without going through all others. */
  readonly lookup: RowLookup | undefined;
  /** Fields that old rows are staged with: the key, or all where there is none. */
  readonly old: readonly number[];
  /** The temporary table that changes pass through; tables of one shape have one. */
  readonly staging: string;
  /** So many fields are staged that one row of a table does not hold them: as two records then. */
  readonly staged: "inColumns" | "asRecords";
}

/**
 * A table has 1,600 columns at most, and a row that is on one page; of a row that nearly fills its page there is no
 * room for the key beside it. Less than these, eight bytes each, are no page.
 */
const mostStagedColumns = 1000;

/** The bindings of one target session, made from its catalogue as the stream names tables. */
export class TableMappings {
  readonly #target: Client;
  readonly #form: ValueForm;
  readonly #parts: StreamRoles;
  readonly #bound = new Map<Relation, TableMapping>();
  readonly #latest = new Map<string, TableMapping>();
  readonly #stagings = new Map<string, string>();
  #tables: Map<string, Table> | undefined;

  constructor(target: Client, form: ValueForm, parts = migrationRoles) {
    this.#target = target;
    this.#form = form;
    this.#parts = parts;
  }

  /**
   * @throws RefusedError when the target lacks the table or a column
   * @throws TextFormatRequired when values are in binary form and the target has another type for one
   */
  async bind(relation: Relation): Promise<TableMapping> {
    const known = this.#bound.get(relation);
    if (known) return known;
    const name = qualify(relation.schema, relation.name);
    const latest = this.#latest.get(name);
    const binding = latest && isSameShape(latest.relation, relation) ? latest : await this.#make(relation, name);
    this.#bound.set(relation, binding);
    this.#latest.set(name, binding);
    return binding;
  }

  knows(relation: Relation): boolean {
    return this.#bound.has(relation);
  }

  /** @throws Error for a relation that was not bound before */
  of(relation: Relation): TableMapping {
    const binding = this.#bound.get(relation);
    if (!binding) throw new Error(`${relation.schema}.${relation.name} is not bound`);
    return binding;
  }

  async #make(relation: Relation, name: string): Promise<TableMapping> {
    const table = await this.#matchingTable(relation, name);
    const columns = relation.columns.map(({ name: column }) => table.columns.find((other) => other.name === column)!);
    await this.#checkTypes(relation, name, columns);
    const fields = columns.map((_, field) => field);
    const stored = fields.filter((field) => !columns[field]!.generated);
    const key = keyFields(relation, table);
    const old = key.length > 0 ? key : stored;
    const staged = stored.length + old.length > mostStagedColumns ? "asRecords" : "inColumns";
    if (this.#form === "binary" && staged === "asRecords") throw new TextFormatRequired(`${name} is staged in records`);
    const carried = [...stored, ...old];
    if (
      this.#form === "binary" &&
      carried.some((field) => columns[field]!.typeOid !== relation.columns[field]!.typeOid)
    )
      throw new TextFormatRequired(`${name} has other types on the target than on the source`);
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
      sorted: key.slice(
        0,
        leading(key, (field) => sortsFast(columns[field]!)),
      ),
      keyed: key.length > 0,
      lookup:
        relation.replicaIdentity === "f" && key.length === 0
          ? await rowLookup(this.#target, table, columns)
          : undefined,
      old,
      staged,
      staging: this.#stagingOf(columns, stored, old),
    };
  }

  /** Thousands of tables of one shape, as partitions and tenants have them, would else take thousands of files and locks. */
  #stagingOf(columns: readonly Column[], stored: readonly number[], old: readonly number[]): string {
    const types = [...stored, ...old].map((field) => [field, columns[field]!.baseTypeSchema, columns[field]!.baseType]);
    const shape = JSON.stringify([types, old]);
    const known = this.#stagings.get(shape) ?? `pg_temp.${quoteIdentifier(`pg_migration_${this.#stagings.size + 1}`)}`;
    this.#stagings.set(shape, known);
    return known;
  }

  async #matchingTable(relation: Relation, name: string): Promise<Table> {
    let missing = await this.#missingIn(relation, this.#tables !== undefined);
    if (missing.length > 0) missing = await this.#missingIn(relation, false);
    const table = this.#tables!.get(name);
    const { publisher, subscriber, stream } = this.#parts;
    if (table && missing.length === 0) return table;
    throw new ShapeDiffers(
      name,
      relation,
      table
        ? `the ${subscriber}'s table ${name} lacks ${missing.join(", ")}, which the ${publisher}'s has: it was altered during the ${stream}`
        : `the ${subscriber} has no table ${name}, which the ${publisher} has: it was created or renamed during the ${stream}`,
      {
        remedy: table
          ? `on the ${subscriber}, ${missing.map((column) => `ALTER TABLE ${name} ADD COLUMN ${quoteIdentifier(column)} ...`).join("; ")} as on the ${publisher}; the ${stream} then goes on`
          : `create ${name} on the ${subscriber} as on the ${publisher}; the ${stream} then goes on`,
        code: "603130",
      },
    );
  }

  /** A value that the target's type takes, but rounds or cuts, would be lost without a word. */
  async #checkTypes(relation: Relation, name: string, columns: readonly Column[]): Promise<void> {
    const { publisher, subscriber, stream } = this.#parts;
    const generated = relation.publishesGeneratedColumns ? undefined : columns.find((one) => one.generated);
    if (generated) {
      const column = quoteIdentifier(generated.name);
      throw new ShapeDiffers(
        name,
        relation,
        `${name}.${column} is generated on the ${subscriber} and written on the ${publisher}: it was altered there`,
        {
          remedy: `on the ${subscriber}: ALTER TABLE ${name} ALTER COLUMN ${column} DROP EXPRESSION; the ${stream} then goes on`,
          code: "603130",
        },
      );
    }
    for (const [field, column] of columns.entries()) {
      if (isOfSameType(column, relation.columns[field]!)) continue;
      const { name: plainName, type, generated: isComputed } = column;
      const [quoted, wanted] = [quoteIdentifier(plainName), await this.#formatType(relation.columns[field]!)];
      if (type === wanted) continue;
      const conversion = isComputed ? "" : ` USING ${quoted}::${wanted}`;
      throw new ShapeDiffers(
        name,
        relation,
        `${name}.${quoted} is ${type} on the ${subscriber} and ${wanted} on the ${publisher}: it was altered there`,
        {
          remedy: `on the ${subscriber}: ALTER TABLE ${name} ALTER COLUMN ${quoted} TYPE ${wanted}${conversion}; the ${stream} then goes on`,
          code: "603130",
        },
      );
    }
  }

  /** As {@link Column.type}. */
  async #formatType({ typeOid, typeModifier = -1 }: RelationColumn): Promise<string> {
    const { rows } = await this.#target.query<{ type: string }>("SELECT format_type($1::oid, $2) AS type", [
      typeOid,
      typeModifier,
    ]);
    return rows[0]!.type;
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

/** As far as both sides call it the same. */
function isOfSameType({ typeOid, typeModifier }: Column, from: RelationColumn): boolean {
  if (typeOid >= firstUserOid || from.typeOid >= firstUserOid) return true;
  return typeOid === from.typeOid && typeModifier === (from.typeModifier ?? typeModifier);
}

/** Compared as numbers or bytes; text by a collation would cost more than the order saves. */
const fastTypes = new Set(["int2", "int4", "int8", "numeric", "oid", "uuid", "date", "timestamp", "timestamptz"]);

const sortsFast = ({ baseTypeSchema, baseType }: Column): boolean =>
  baseTypeSchema === "pg_catalog" && fastTypes.has(baseType);

/** How many there are before the first that does not hold. */
function leading(fields: readonly number[], holds: (field: number) => boolean): number {
  const first = fields.findIndex((field) => !holds(field));
  return first < 0 ? fields.length : first;
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
