import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import type { TableMapping } from "../binding/table-mapping.js";

/** Where a statement has the rows from that it takes to the target's table `t`. */
export interface Rows {
  /** As it stands behind FROM or USING; undefined where there is nothing to stand there. */
  readonly from: string | undefined;
  readonly newValue: (field: number) => string;
  readonly oldValue: (field: number) => string;
}

/** Changes one row for each one that it is given, which the caller checks by count. */
export interface Operation {
  /** Unlike that of any other operation on the same table. */
  readonly name: string;
  readonly statement: (rows: Rows) => string;
}

export const deletion = (binding: TableMapping): Operation => ({
  name: "delete",
  statement: (rows) => `DELETE FROM ${binding.only} AS t${listed("USING", rows)} WHERE ${keysMatch(binding, rows)}`,
});

/** Sets the given fields. */
export const update = (binding: TableMapping, fields: readonly number[]): Operation => ({
  name: `update ${fields.join()}`,
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

/** Deletes one of the rows equal to the given one, not all of them. @param looked by the binding's lookup */
export const deletionOfOne = (binding: TableMapping, looked: boolean): Operation => ({
  name: `delete one ${looked}`,
  statement: (rows) =>
    `WITH ${oneRow(binding, looked, rows)} DELETE FROM ${binding.only} AS t${listed("USING", rows)} WHERE ${isThatRow}`,
});

/** Updates one of the rows equal to the given old one. */
export const updateOfOne = (binding: TableMapping, fields: readonly number[], looked: boolean): Operation => ({
  name: `update one ${looked} ${fields.join()}`,
  statement: (rows) =>
    updateWhere({ binding, fields, rows, condition: isThatRow, ctes: [oneRow(binding, looked, rows)] }),
});

/**
 * Deletes, for each of many rows, one row that is equal: by the binding's lookup, or one scan of the table for all of
 * them, where taking them one by one is a scan for each.
 */
export const deletionOfEqual = (binding: TableMapping, looked: boolean): Operation => ({
  name: `delete equal ${looked}`,
  statement: (rows) => {
    const fields = looked ? binding.lookup!.fields : [];
    const wanted = fields.map((field) => `, ${rows.oldValue(field)} AS f${field}`).join("");
    const isLooked = fields.map((field) => `x.${column(binding, field)} = wanted.f${field} AND `).join("");
    return `WITH wanted AS (SELECT ${givenContent(binding, rows)} AS content, count(*) AS rows${wanted}
                     ${listed("FROM", rows)} GROUP BY 1${fields.map((_, index) => `, ${index + 3}`).join("")}),
        found AS (SELECT x.tableoid AS "table", x.ctid AS place, wanted.rows,
                         row_number() OVER (PARTITION BY wanted.content) AS nth
                    FROM wanted JOIN ${binding.only} AS x
                      ON ${isLooked}${storedContent(binding)} = wanted.content)
   DELETE FROM ${binding.only} AS t USING found
    WHERE found.nth <= found.rows AND t.tableoid = found."table" AND t.ctid = found.place`;
  },
});

/** A subquery without correlation: the planner evaluates it once, and goes to the row directly. */
function oneRow(binding: TableMapping, looked: boolean, rows: Rows): string {
  const isLooked = (looked ? binding.lookup!.fields : []).map(
    (field) => `x.${column(binding, field)} = ${rows.oldValue(field)} AND `,
  );
  const tables = [`${binding.only} AS x`, ...(rows.from === undefined ? [] : [rows.from])].join(", ");
  return `that AS (SELECT x.tableoid AS "table", x.ctid AS place FROM ${tables}
             WHERE ${isLooked.join("")}${storedContent(binding)} = ${givenContent(binding, rows)} LIMIT 1)`;
}

const isThatRow = `t.tableoid = (SELECT "table" FROM that) AND t.ctid = (SELECT place FROM that)`;

/**
 * A row without a key is known by what it prints: every type prints, those without equality too, the same server prints
 * both sides, and NULL differs from everything else in it.
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

/** Of parameters it is printed once, where each row that is met would have it printed anew. */
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
  if (fields.some((field) => binding.columns[field]!.identity === "always")) return replaceWhere(wanted);
  const assignments = fields.map((field) => `${column(binding, field)} = ${rows.newValue(field)}`);
  // Nothing to set, but the row has to be there.
  if (assignments.length === 0) {
    const others = rows.from === undefined ? "" : `, ${rows.from}`;
    return `${withQueries(ctes)}SELECT FROM ${binding.only} AS t${others} WHERE ${condition}`;
  }
  const set = assignments.join(", ");
  return `${withQueries(ctes)}UPDATE ${binding.only} AS t SET ${set}${listed("FROM", rows)} WHERE ${condition}`;
}

/** An identity column GENERATED ALWAYS can be inserted, but not updated, to a given value. */
function replaceWhere({ binding, fields, rows, condition, ctes }: UpdateWhere): string {
  const values = [
    ...binding.stored.map((field) => ({
      name: column(binding, field),
      value: fields.includes(field) ? rows.newValue(field) : `t.${column(binding, field)}`,
    })),
    ...binding.unmatched.map(({ name }) => ({ name: quoteIdentifier(name), value: `t.${quoteIdentifier(name)}` })),
  ];
  const returned = values.map(({ value }, index) => `${value} AS v${index}`).join(", ");
  const gone = `gone AS (DELETE FROM ${binding.only} AS t${listed("USING", rows)}
                          WHERE ${condition} RETURNING ${returned})`;
  return `${withQueries([...ctes, gone])}INSERT INTO ${binding.name} (${values.map(({ name }) => name).join(", ")})
          OVERRIDING SYSTEM VALUE SELECT ${values.map((_, index) => `v${index}`).join(", ")} FROM gone`;
}

const listed = (word: "FROM" | "USING", { from }: Rows): string => (from === undefined ? "" : ` ${word} ${from}`);

const withQueries = (ctes: readonly string[]): string => (ctes.length === 0 ? "" : `WITH ${ctes.join(", ")} `);

const keysMatch = (binding: TableMapping, rows: Rows): string =>
  binding.key
    .map((field, index) => `t.${column(binding, field)} ${binding.equality[index]!} ${rows.oldValue(field)}`)
    .join(" AND ");

const column = (binding: TableMapping, field: number): string => quoteIdentifier(binding.columns[field]!.name);
