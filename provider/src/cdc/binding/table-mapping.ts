import type { Client } from "pg";
import { RefusedError } from "../../errors.js";
import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import { type Column, type Table, listTables } from "../../postgres/tables.js";
import { type Relation, type RelationColumn, isSameShape } from "../model/change.js";
import { equalityOperators } from "./equality.js";
import { migrationRoles, type StreamRoles } from "../model/stream-roles.js";
import { type RowLookup, rowLookup } from "./row-lookup.js";
import { TextFormatRequired } from "../model/signals.js";
import type { ValueForm } from "../model/value-form.js";

export interface MappingOptions {
  /** The servers' names in messages; by default those of a migration. */
  readonly parts?: StreamRoles | undefined;
  /** The target's tables that may be written; by default all tables. */
  readonly writableTables?: ((target: Client) => Promise<readonly Table[]>) | undefined;
  /**
   * Whether a relation is another table, or has other columns, than the target's under the same names; by default none is.
   * The target's tables are given by name, qualified and quoted.
   */
  readonly isExchanged?: ((relation: Relation, targetTables: ReadonlyMap<string, Table>) => boolean) | undefined;
}

/** The stream describes a table with columns or types that the target's table does not have. */
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

/** The stream describes another table, or other columns, than those that the target has under the same names. */
export class NamesExchanged extends ShapeDiffers {}

/** Object identifiers below this value are the same on every server (manual, "System Catalog Initial Data"). */
const firstUserOid = 16384;

/** How the changes of one definition of a source table are written to the target's table of the same name. */
export interface TableMapping {
  /** The target's table, qualified and quoted. */
  readonly name: string;
  /** The table in FROM and UPDATE: with ONLY unless it is partitioned, because the stream has the children's changes. */
  readonly only: string;
  readonly relation: Relation;
  /** The target's column for each of the relation's fields, matched by name. */
  readonly columns: readonly Column[];
  /** Fields that can be written: all except columns that the target generates. */
  readonly stored: readonly number[];
  /** Stored columns of the target that the source does not have. */
  readonly unmatched: readonly Column[];
  /** The names of all columns of the target's table. */
  readonly targetColumns: readonly string[];
  /** Fields that identify a row; empty without a key. */
  readonly key: readonly number[];
  /** The equality operator for each field of the key, as the index on the target supports it. */
  readonly equality: readonly string[];
  /** The leading fields of the key by which sorting is cheap. */
  readonly sorted: readonly number[];
  /** Whether rows have a key. Otherwise they are found by their complete content. */
  readonly keyed: boolean;
  /** An index that finds a row without a key; undefined if the table has to be scanned. */
  readonly lookup: RowLookup | undefined;
  /** Fields with which old rows are staged: the key, or all stored fields without a key. */
  readonly old: readonly number[];
  /** The temporary table in which changes are staged. Tables with the same columns share one. */
  readonly staging: string;
  /** A staging table with too many columns has two records instead. */
  readonly staged: "inColumns" | "asRecords";
}

/**
 * A table has at most 1,600 columns, and a row must fit on a page of 8 kB. A wide row may nearly fill its page and leave no
 * space for the key. 1,000 columns of eight bytes each always fit.
 */
const maxStagedColumns = 1000;

/** The table mappings of one target session, created when the stream first describes a table. */
export class TableMappings {
  readonly #target: Client;
  readonly #form: ValueForm;
  readonly #parts: StreamRoles;
  readonly #writableTables: (target: Client) => Promise<readonly Table[]>;
  readonly #isExchanged: (relation: Relation, targetTables: ReadonlyMap<string, Table>) => boolean;
  readonly #bound = new Map<Relation, TableMapping>();
  readonly #latest = new Map<string, TableMapping>();
  readonly #stagings = new Map<string, string>();
  #tables: Map<string, Table> | undefined;

  constructor(
    target: Client,
    form: ValueForm,
    { parts = migrationRoles, writableTables = listTables, isExchanged = () => false }: MappingOptions = {},
  ) {
    this.#target = target;
    this.#form = form;
    this.#parts = parts;
    this.#writableTables = writableTables;
    this.#isExchanged = isExchanged;
  }

  /**
   * @throws RefusedError if the target lacks the table or a column
   * @throws TextFormatRequired if values are in binary form and a column has another type on the target
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

  /** The relations that are bound. */
  get relations(): Iterable<Relation> {
    return this.#bound.keys();
  }

  knows(relation: Relation): boolean {
    return this.#bound.has(relation);
  }

  /** @throws Error if the relation was not bound before */
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
    const staged = stored.length + old.length > maxStagedColumns ? "asRecords" : "inColumns";
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
      targetColumns: table.columns.map((column) => column.name),
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

  /** Tables with the same columns (partitions, tenants) share a staging table. It saves thousands of files and locks. */
  #stagingOf(columns: readonly Column[], stored: readonly number[], old: readonly number[]): string {
    const types = [...stored, ...old].map((field) => [field, columns[field]!.baseTypeSchema, columns[field]!.baseType]);
    const shape = JSON.stringify([types, old]);
    const known = this.#stagings.get(shape) ?? `pg_temp.${quoteIdentifier(`pg_migration_${this.#stagings.size + 1}`)}`;
    this.#stagings.set(shape, known);
    return known;
  }

  #exchanged(relation: Relation, name: string): NamesExchanged {
    const { publisher, subscriber, stream } = this.#parts;
    return new NamesExchanged(
      name,
      relation,
      `tables or columns of the ${publisher} have exchanged their names: changes of ${name} do not belong to the table or the columns that had these names`,
      {
        remedy:
          stream === "migration"
            ? "none needed: the tables are copied again"
            : `on the ${subscriber}, change ${name} as on the ${publisher}: rename it or its columns, or drop and create it; the ${stream} then resumes. Or set rollback to drop`,
        code: "PGM-503",
      },
    );
  }

  async #matchingTable(relation: Relation, name: string): Promise<Table> {
    let missing = await this.#missingIn(relation, this.#tables !== undefined);
    if (missing.length > 0) missing = await this.#missingIn(relation, false);
    const table = this.#tables!.get(name);
    if (this.#isExchanged(relation, this.#tables!)) throw this.#exchanged(relation, name);
    const { publisher, subscriber, stream } = this.#parts;
    if (table && missing.length === 0) return table;
    throw new ShapeDiffers(
      name,
      relation,
      table
        ? `table ${name} on the ${subscriber} lacks ${missing.join(", ")}. The table on the ${publisher} was altered during the ${stream}`
        : `the ${subscriber} has no table ${name}, or it is excluded. The table was created or renamed on the ${publisher} during the ${stream}`,
      {
        remedy: table
          ? `${stream === "migration" ? "" : "if a column was renamed, rename it in the same way; otherwise "}on the ${subscriber}, ${missing.map((column) => `ALTER TABLE ${name} ADD COLUMN ${quoteIdentifier(column)} ...`).join("; ")} as on the ${publisher}; the ${stream} then resumes`
          : `unless it is excluded, create ${name} on the ${subscriber} as on the ${publisher}; the ${stream} then resumes`,
        code: "PGM-503",
      },
    );
  }

  /** Refuses different types: the target's type might silently round or truncate values. */
  async #checkTypes(relation: Relation, name: string, columns: readonly Column[]): Promise<void> {
    const { publisher, subscriber, stream } = this.#parts;
    const generated = relation.publishesGeneratedColumns ? undefined : columns.find((one) => one.generated);
    if (generated) {
      const column = quoteIdentifier(generated.name);
      throw new ShapeDiffers(
        name,
        relation,
        `${name}.${column} is generated on the ${subscriber} but not on the ${publisher}, where it was altered`,
        {
          remedy: `on the ${subscriber}: ALTER TABLE ${name} ALTER COLUMN ${column} DROP EXPRESSION; the ${stream} then resumes`,
          code: "PGM-503",
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
        `${name}.${quoted} is ${type} on the ${subscriber} but ${wanted} on the ${publisher}, where it was altered`,
        {
          remedy: `on the ${subscriber}: ALTER TABLE ${name} ALTER COLUMN ${quoted} TYPE ${wanted}${conversion}; the ${stream} then resumes`,
          code: "PGM-503",
        },
      );
    }
  }

  /** The type's name with its modifier, like {@link Column.type}. */
  async #formatType({ typeOid, typeModifier = -1 }: RelationColumn): Promise<string> {
    const { rows } = await this.#target.query<{ type: string }>("SELECT format_type($1::oid, $2) AS type", [
      typeOid,
      typeModifier,
    ]);
    return rows[0]!.type;
  }

  async #missingIn(relation: Relation, useKnown: boolean): Promise<string[]> {
    if (!useKnown || !this.#tables) {
      const tables = await this.#writableTables(this.#target);
      this.#tables = new Map(tables.map((table) => [qualify(table.schema, table.name), table]));
    }
    const table = this.#tables.get(qualify(relation.schema, relation.name));
    const has = new Set(table?.columns.map(({ name }) => name));
    const missing = relation.columns.map(({ name }) => name).filter((name) => !has.has(name));
    return table ? missing : ["the table"];
  }
}

/** Compares object identifiers, if both are the same on every server. Other types count as equal here. */
function isOfSameType({ typeOid, typeModifier }: Column, from: RelationColumn): boolean {
  if (typeOid >= firstUserOid || from.typeOid >= firstUserOid) return true;
  return typeOid === from.typeOid && typeModifier === (from.typeModifier ?? typeModifier);
}

/** Types that are compared as numbers or bytes. Sorting text by a collation costs more than the order saves. */
const fastTypes = new Set(["int2", "int4", "int8", "numeric", "oid", "uuid", "date", "timestamp", "timestamptz"]);

const sortsFast = ({ baseTypeSchema, baseType }: Column): boolean =>
  baseTypeSchema === "pg_catalog" && fastTypes.has(baseType);

/** The number of leading fields for which the condition holds. */
function leading(fields: readonly number[], holds: (field: number) => boolean): number {
  const first = fields.findIndex((field) => !holds(field));
  return first < 0 ? fields.length : first;
}

/** REPLICA IDENTITY FULL sends the complete old row, so the target's primary key can identify it. */
function keyFields(relation: Relation, table: Table): number[] {
  const fieldOf = (name: string): number => relation.columns.findIndex((column) => column.name === name);
  const identity =
    relation.replicaIdentity === "f"
      ? table.primaryKey.map(fieldOf)
      : relation.columns.flatMap((column, field) => (column.key ? [field] : []));
  const usable = identity.every((field) => field >= 0);
  return usable ? identity : [];
}
