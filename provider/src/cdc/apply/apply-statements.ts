import { builtInEquality as equals } from "../binding/equality.js";
import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import type { TableMapping } from "../binding/table-mapping.js";
import type { Statement } from "../wire/pipelined-queries.js";

/** The rows that a statement applies to the target's table `t`. */
export interface Rows {
  /** The text after FROM or USING; undefined if the rows come as parameters. */
  readonly from: string | undefined;
  readonly newValue: (field: number) => string;
  readonly oldValue: (field: number) => string;
}

/** Changes one row for each given row. The caller checks the number of affected rows. */
export interface Operation {
  /** Unique among the operations on the same table. */
  readonly name: string;
  readonly statement: (rows: Rows) => string;
  /** See {@link NetChanges.replacesRows}. */
  readonly replacesRows?: boolean;
}

export const deletion = (binding: TableMapping): Operation => ({
  name: "delete",
  statement: (rows) => `DELETE FROM ${binding.only} AS t${listed("USING", rows)} WHERE ${keysMatch(binding, rows)}`,
});

/** Sets the given fields. */
export const update = (binding: TableMapping, fields: readonly number[]): Operation => ({
  name: `update ${fields.join()}`,
  replacesRows: hasAlways(binding, fields),
  statement: (rows) => updateWhere({ binding, fields, rows, condition: keysMatch(binding, rows), ctes: [] }),
});

export const insertion = (binding: TableMapping): Operation => ({
  name: "insert",
  statement: (rows) => {
    const columns = binding.stored.map((field) => column(binding, field)).join(", ");
    const values = binding.stored.map(rows.newValue).join(", ");
    const list = columns === "" ? "" : `(${columns}) OVERRIDING SYSTEM VALUE`;
    return `INSERT INTO ${binding.name} ${list} SELECT ${values}${listed("FROM", rows)}`;
  },
});

/** Deletes one of the rows that equal the given row, not all of them. @param looked uses the index of the binding's lookup */
export const deletionOfOne = (binding: TableMapping, looked: boolean): Operation => ({
  name: `delete one ${looked}`,
  statement: (rows) =>
    `WITH ${oneRow(binding, looked, rows)} DELETE FROM ${binding.only} AS t${listed("USING", rows)} WHERE ${isThatRow}`,
});

/** Updates one of the rows that equal the given old row. */
export const updateOfOne = (binding: TableMapping, fields: readonly number[], looked: boolean): Operation => ({
  name: `update one ${looked} ${fields.join()}`,
  replacesRows: hasAlways(binding, fields),
  statement: (rows) =>
    updateWhere({ binding, fields, rows, condition: isThatRow, ctes: [oneRow(binding, looked, rows)] }),
});

/**
 * Deletes one equal row for each of many given rows. It uses the binding's lookup, or scans the table once for all of
 * them. One statement per row would scan the table for each.
 */
export const deletionOfEqual = (binding: TableMapping, looked: boolean): Operation => ({
  name: `delete equal ${looked}`,
  statement: (rows) => {
    const fields = looked ? binding.lookup!.fields : [];
    const wanted = fields.map((field) => `, ${rows.oldValue(field)} AS f${field}`).join("");
    const isLooked = fields.map((field) => `x.${column(binding, field)} ${equals} wanted.f${field} AND `).join("");
    return `WITH wanted AS (SELECT ${givenContent(binding, rows)} AS content, pg_catalog.count(*) AS rows${wanted}
                     ${listed("FROM", rows)} GROUP BY 1${fields.map((_, index) => `, ${index + 3}`).join("")}),
        found AS (SELECT x.tableoid AS "table", x.ctid AS place, wanted.rows,
                         pg_catalog.row_number() OVER (PARTITION BY wanted.content) AS nth
                    FROM wanted JOIN ${binding.only} AS x
                      ON ${isLooked}${storedContent(binding)} ${equals} wanted.content)
   DELETE FROM ${binding.only} AS t USING found
    WHERE found.nth OPERATOR(pg_catalog.<=) found.rows AND t.tableoid ${equals} found."table" AND t.ctid ${equals} found.place`;
  },
});

/** An uncorrelated subquery: the planner evaluates it once, then reads the row by its ctid. */
function oneRow(binding: TableMapping, looked: boolean, rows: Rows): string {
  const isLooked = (looked ? binding.lookup!.fields : []).map(
    (field) => `x.${column(binding, field)} ${equals} ${rows.oldValue(field)} AND `,
  );
  const tables = [`${binding.only} AS x`, ...(rows.from === undefined ? [] : [rows.from])].join(", ");
  return `that AS (SELECT x.tableoid AS "table", x.ctid AS place FROM ${tables}
             WHERE ${isLooked.join("")}${storedContent(binding)} ${equals} ${givenContent(binding, rows)} LIMIT 1)`;
}

const isThatRow = `t.tableoid ${equals} (SELECT "table" FROM that) AND t.ctid ${equals} (SELECT place FROM that)`;

/**
 * Rows without a key are compared as text. Every type has a text form, including types without an equality operator. The
 * same server prints both rows, and NULL differs from every value in this form.
 */
const printed = (values: readonly string[]): string => `ROW(${values.join(", ")})::text`;

function storedContent(binding: TableMapping): string {
  return printed(
    binding.stored.map((field) => {
      const { baseTypeSchema, baseType, name } = binding.columns[field]!;
      return `x.${quoteIdentifier(name)}::${qualify(baseTypeSchema, baseType)}`;
    }),
  );
}

/** Parameters are printed once, in a subquery. Without it, they would be printed again for each row of the table. */
function givenContent({ stored }: TableMapping, rows: Rows): string {
  const content = printed(stored.map(rows.oldValue));
  return rows.from === undefined ? `(SELECT ${content})` : content;
}

interface UpdateWhere {
  readonly binding: TableMapping;
  readonly fields: readonly number[];
  readonly rows: Rows;
  readonly condition: string;
  /** The WITH queries that the condition refers to. */
  readonly ctes: readonly string[];
}

function updateWhere(wanted: UpdateWhere): string {
  const { binding, fields, rows, condition, ctes } = wanted;
  if (hasAlways(binding, fields)) return replaceWhere(wanted);
  const assignments = fields.map((field) => `${column(binding, field)} = ${rows.newValue(field)}`);
  // Nothing to set, but the target must have the row.
  if (assignments.length === 0) {
    const others = rows.from === undefined ? "" : `, ${rows.from}`;
    return `${withQueries(ctes)}SELECT FROM ${binding.only} AS t${others} WHERE ${condition}`;
  }
  const set = assignments.join(", ");
  return `${withQueries(ctes)}UPDATE ${binding.only} AS t SET ${set}${listed("FROM", rows)} WHERE ${condition}`;
}

const hasAlways = ({ columns }: TableMapping, fields: readonly number[]): boolean =>
  fields.some((field) => columns[field]!.identity === "always");

/** A given value can be inserted into an identity column GENERATED ALWAYS, but an UPDATE cannot set one. */
function replaceWhere({ binding, fields, rows, condition, ctes }: UpdateWhere): string {
  const values = [
    ...binding.stored.map((field) => ({
      name: column(binding, field),
      value: fields.includes(field) ? rows.newValue(field) : `t.${column(binding, field)}`,
    })),
    ...binding.unmatched.map(({ name }) => ({ name: quoteIdentifier(name), value: `t.${quoteIdentifier(name)}` })),
  ];
  const returned = values.map(({ value }, index) => `${value} AS v${index}`).join(", ");
  const deleted = `deleted AS (DELETE FROM ${binding.only} AS t${listed("USING", rows)}
                          WHERE ${condition} RETURNING ${returned})`;
  return `${withQueries([...ctes, deleted])}INSERT INTO ${binding.name} (${values.map(({ name }) => name).join(", ")})
          OVERRIDING SYSTEM VALUE SELECT ${values.map((_, index) => `v${index}`).join(", ")} FROM deleted`;
}

/** Selects a row for each column of the target's table that the mapping does not have. */
export const addedColumns = ({ name, targetColumns }: TableMapping): Statement => ({
  prepared: true,
  text: `SELECT FROM pg_catalog.pg_attribute AS a
          WHERE a.attrelid ${equals} $1::pg_catalog.regclass AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
            AND NOT a.attname::text ${equals} ANY (ARRAY(SELECT pg_catalog.json_array_elements_text($2::json)))`,
  values: [name, JSON.stringify(targetColumns)],
});

const listed = (word: "FROM" | "USING", { from }: Rows): string => (from === undefined ? "" : ` ${word} ${from}`);

const withQueries = (ctes: readonly string[]): string => (ctes.length === 0 ? "" : `WITH ${ctes.join(", ")} `);

const keysMatch = (binding: TableMapping, rows: Rows): string =>
  binding.key
    .map((field, index) => `t.${column(binding, field)} ${binding.equality[index]!} ${rows.oldValue(field)}`)
    .join(" AND ");

const column = (binding: TableMapping, field: number): string => quoteIdentifier(binding.columns[field]!.name);
