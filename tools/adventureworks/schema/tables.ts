import { escapeIdentifier } from "pg";
import { type Catalogue, type Table, nameOf } from "../catalogue";

/** "schema.name" as SQL. */
export function quoted(name: string): string {
  return name.split(".").map(escapeIdentifier).join(".");
}

/** Objects that must exist before the rows: extensions, schemas, domains, sequences, and tables without keys. */
export function createTables(catalogue: Catalogue): string[] {
  const schemas = new Set(catalogue.tables.map((table) => table.schema));
  return [
    ...catalogue.extensions.map((name) => `CREATE EXTENSION IF NOT EXISTS ${quoted(name)} WITH SCHEMA public`),
    ...[...schemas].map((name) => `CREATE SCHEMA ${quoted(name)}`),
    ...catalogue.domains.map(createDomain),
    ...catalogue.tables.flatMap(createTable),
  ];
}

export function addPrimaryKey(table: Table): string {
  const name = escapeIdentifier(`pk_${table.name}`);
  return `ALTER TABLE ${quoted(nameOf(table))} ADD CONSTRAINT ${name} PRIMARY KEY (${columnList(table.primaryKey)})`;
}

export function addForeignKeys(table: Table): string[] {
  return table.foreignKeys.map(({ columns, references, referencedColumns }) => {
    const name = escapeIdentifier(`fk_${table.name}_${columns.join("_")}`);
    const target = `${quoted(references)} (${columnList(referencedColumns)})`;
    return (
      `ALTER TABLE ${quoted(nameOf(table))} ADD CONSTRAINT ${name} ` +
      `FOREIGN KEY (${columnList(columns)}) REFERENCES ${target}`
    );
  });
}

/** Sets each of the table's sequences to the highest value that its column has. */
export function setSequences(table: Table): string[] {
  return sequencesOf(table).map(
    ({ sequence, column }) =>
      `SELECT setval('${quoted(sequence)}', max(${escapeIdentifier(column)})) FROM ${quoted(nameOf(table))}`,
  );
}

export function columnList(columns: readonly string[]): string {
  return columns.map(escapeIdentifier).join(", ");
}

function createDomain(domain: Catalogue["domains"][number]): string {
  const name = quoted(`${domain.schema}.${domain.name}`);
  return `CREATE DOMAIN ${name} AS ${domain.type}${domain.notNull ? " NOT NULL" : ""}`;
}

function createTable(table: Table): string[] {
  const sequences = sequencesOf(table);
  const columns = table.columns.map(
    (column) =>
      `${escapeIdentifier(column.name)} ${column.type}` +
      (column.default === undefined ? "" : ` DEFAULT ${column.default}`) +
      (column.notNull ? " NOT NULL" : ""),
  );
  return [
    ...sequences.map(({ sequence }) => `CREATE SEQUENCE ${quoted(sequence)} AS integer`),
    `CREATE TABLE ${quoted(nameOf(table))} (${columns.join(", ")})`,
    ...sequences.map(
      ({ sequence, column }) => `ALTER SEQUENCE ${quoted(sequence)} OWNED BY ${quoted(`${nameOf(table)}.${column}`)}`,
    ),
  ];
}

function sequencesOf(table: Table): { sequence: string; column: string }[] {
  return table.columns.flatMap((column) => {
    const sequence = /^nextval\('([\w.]+)'::regclass\)$/.exec(column.default ?? "")?.[1];
    return sequence === undefined ? [] : [{ sequence, column: column.name }];
  });
}
