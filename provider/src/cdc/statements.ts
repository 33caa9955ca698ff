import { qualify, quoteIdentifier } from "../postgres/identifiers.js";
import type { Binding } from "./binding.js";

/*
 * Statements that take rows from a binding's staging table `s`, those of group $1, to the target's table `t`. Each
 * changes one row for one staged row, which the caller checks by count.
 */

export const deleteStatement = (binding: Binding): string =>
  `DELETE FROM ${binding.only} AS t USING ${staged(binding)} WHERE ${keysMatch(binding)}`;

/** Sets the given fields. */
export function updateStatement(binding: Binding, fields: readonly number[]): string {
  return updateWhere(binding, fields, keysMatch(binding), []);
}

export function insertStatement(binding: Binding): string {
  const columns = binding.stored.map((field) => column(binding, field)).join(", ");
  const values = binding.stored.map((field) => newValue(binding, field)).join(", ");
  const list = columns === "" ? "" : `(${columns}) OVERRIDING SYSTEM VALUE`;
  return `INSERT INTO ${binding.name} ${list} SELECT ${values} FROM ${staged(binding)}`;
}

/** Deletes one of the rows equal to the staged one, not all of them. @param looked by the binding's lookup */
export const deleteOneStatement = (binding: Binding, looked: boolean): string =>
  `WITH ${oneRow(binding, looked)} DELETE FROM ${binding.only} AS t USING ${staged(binding)} WHERE ${isThatRow}`;

/** Updates one of the rows equal to the staged old one. */
export const updateOneStatement = (binding: Binding, fields: readonly number[], looked: boolean): string =>
  updateWhere(binding, fields, isThatRow, [oneRow(binding, looked)]);

/**
 * Deletes, for each of the staged rows, one row that is equal: by the binding's lookup, or one scan of the table for all of
 * them, where taking them one by one is a scan for each.
 */
export function deleteEqualStatement(binding: Binding, looked: boolean): string {
  const fields = looked ? binding.lookup!.fields : [];
  const wanted = fields.map((field) => `, ${oldValue(binding, field)} AS f${field}`).join("");
  const isLooked = fields.map((field) => `x.${column(binding, field)} = wanted.f${field} AND `).join("");
  return `WITH wanted AS (SELECT ${contentOf(binding, "staged")} AS content, count(*) AS rows${wanted}
                     FROM ${staged(binding)} GROUP BY 1${fields.map((_, index) => `, ${index + 3}`).join("")}),
        found AS (SELECT x.tableoid AS "table", x.ctid AS place, wanted.rows,
                         row_number() OVER (PARTITION BY wanted.content) AS nth
                    FROM wanted JOIN ${binding.only} AS x
                      ON ${isLooked}${contentOf(binding, "stored")} = wanted.content)
   DELETE FROM ${binding.only} AS t USING found
    WHERE found.nth <= found.rows AND t.tableoid = found."table" AND t.ctid = found.place`;
}

/** A subquery without correlation: the planner evaluates it once, and goes to the row directly. */
function oneRow(binding: Binding, looked: boolean): string {
  const isLooked = (looked ? binding.lookup!.fields : []).map(
    (field) => `x.${column(binding, field)} = ${oldValue(binding, field)} AND `,
  );
  return `that AS (SELECT x.tableoid AS "table", x.ctid AS place FROM ${binding.only} AS x, ${staged(binding)}
             WHERE ${isLooked.join("")}${contentOf(binding, "stored")} = ${contentOf(binding, "staged")} LIMIT 1)`;
}

const isThatRow = `t.tableoid = (SELECT "table" FROM that) AND t.ctid = (SELECT place FROM that)`;

/**
 * A row without a key is known by what it prints: every type prints, those without equality too, the same server prints
 * both sides, and NULL differs from everything else in it.
 */
function contentOf(binding: Binding, side: "stored" | "staged"): string {
  const values = binding.stored.map((field) => {
    const { baseTypeSchema, baseType, name } = binding.columns[field]!;
    return side === "staged"
      ? oldValue(binding, field)
      : `x.${quoteIdentifier(name)}::${qualify(baseTypeSchema, baseType)}`;
  });
  return `ROW(${values.join(", ")})::text`;
}

/** `ctes` are the WITH queries that the condition refers to. */
function updateWhere(binding: Binding, fields: readonly number[], condition: string, ctes: readonly string[]): string {
  if (fields.some((field) => binding.columns[field]!.identity === "always"))
    return replaceWhere(binding, fields, condition, ctes);
  const assignments = fields.map((field) => `${column(binding, field)} = ${newValue(binding, field)}`);
  const rows = `${staged(binding)} WHERE ${condition}`;
  // Nothing to set, but the row has to be there.
  if (assignments.length === 0) return `${withQueries(ctes)}SELECT FROM ${binding.only} AS t, ${rows}`;
  return `${withQueries(ctes)}UPDATE ${binding.only} AS t SET ${assignments.join(", ")} FROM ${rows}`;
}

/** An identity column GENERATED ALWAYS can be inserted, but not updated, to a given value. */
function replaceWhere(binding: Binding, fields: readonly number[], condition: string, ctes: readonly string[]): string {
  const values = [
    ...binding.stored.map((field) => ({
      name: column(binding, field),
      value: fields.includes(field) ? newValue(binding, field) : `t.${column(binding, field)}`,
    })),
    ...binding.unmatched.map(({ name }) => ({ name: quoteIdentifier(name), value: `t.${quoteIdentifier(name)}` })),
  ];
  const returned = values.map(({ value }, index) => `${value} AS v${index}`).join(", ");
  const gone = `gone AS (DELETE FROM ${binding.only} AS t USING ${staged(binding)}
                          WHERE ${condition} RETURNING ${returned})`;
  return `${withQueries([...ctes, gone])}INSERT INTO ${binding.name} (${values.map(({ name }) => name).join(", ")})
          OVERRIDING SYSTEM VALUE SELECT ${values.map((_, index) => `v${index}`).join(", ")} FROM gone`;
}

/**
 * The group's rows, in the order of the key: neighbours in an index, and most often in the table, are then met one after
 * another while their pages are at hand.
 */
function staged(binding: Binding): string {
  if (binding.staged === "inRecords")
    // Taken apart once for a row, where each mention of a field would do so anew.
    return `(SELECT * FROM ${binding.staging} WHERE g = $1) AS s, unnest(ARRAY[s.c]) AS n, unnest(ARRAY[s.o]) AS o`;
  const order = binding.sorted.map((field) => `o${field}`).join(", ");
  return `(SELECT * FROM ${binding.staging} WHERE g = $1${order && ` ORDER BY ${order}`}) AS s`;
}

const withQueries = (ctes: readonly string[]): string => (ctes.length === 0 ? "" : `WITH ${ctes.join(", ")} `);

const keysMatch = (binding: Binding): string =>
  binding.key
    .map((field, index) => `t.${column(binding, field)} ${binding.equality[index]!} ${oldValue(binding, field)}`)
    .join(" AND ");

const newValue = ({ staged }: Binding, field: number): string => `${staged === "inRecords" ? "n" : "s"}.c${field}`;

const oldValue = ({ staged }: Binding, field: number): string => `${staged === "inRecords" ? "o" : "s"}.o${field}`;

const column = (binding: Binding, field: number): string => quoteIdentifier(binding.columns[field]!.name);
