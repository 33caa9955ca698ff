import type pg from "pg";
import { RefusedError } from "../../errors.js";
import { qualify } from "../../postgres/identifiers.js";
import type { Entry } from "../sql/toc-entries.js";
import { type ObjectPlace, untrustedObjects } from "../../postgres/untrusted-objects.js";
import type { RestoreContext } from "./restore-context.js";
import type { Refusal } from "./adapt-entry.js";
import { follows, identifierName } from "../sql/tokenize.js";
import { type Statement, relationAt, schemaOf } from "../sql/statements.js";
import { describeEntry } from "./adapted-entry.js";

/** Duplicate column, object, function, schema, table (manual, "PostgreSQL Error Codes"). */
const duplicates: ReadonlySet<string> = new Set(["42701", "42710", "42723", "42P06", "42P07"]);

/** Whether a statement was refused because an earlier run executed it. */
export function isDuplicate({ type }: Entry, { code, schema }: pg.DatabaseError): boolean {
  switch (code) {
    case "42P16": // a second primary key
      return type === "CONSTRAINT";
    case "42809": // the partition is already attached
      return type === "TABLE ATTACH";
    case "55000": // the column is already an identity column, or the key already uses its index
      return type === "SEQUENCE" || type === "CONSTRAINT";
    case "23505": // kinds whose existence the server does not check first; an error in users' tables has another cause
      return schema === "pg_catalog";
    default:
      return duplicates.has(code ?? "");
  }
}

/** Whether an earlier run created the object. */
export function isDone(entry: Entry, { error }: Refusal, { resumed }: RestoreContext): boolean {
  // Extensions may have created their schemas.
  if (entry.type === "SCHEMA" && error.code === "42P06") return true;
  return resumed && isDuplicate(entry, error);
}

/** The kind of {@link ObjectPlace} of an entry, if its kind is not the same in lower case. */
const placeKinds: ReadonlyMap<string, string> = new Map([
  ...["DOMAIN", "FOREIGN TABLE", "MATERIALIZED VIEW", "SHELL TYPE", "TABLE", "TYPE", "VIEW"].map(
    (type) => [type, "relation"] as const,
  ),
  ...["AGGREGATE", "PROCEDURE"].map((type) => [type, "function"] as const),
]);

/**
 * Refuses an object that another role created before the restore did. Its code would run with this role's privileges.
 *
 * @throws RefusedError
 */
export async function requireOwn(target: pg.Client, entry: Entry, { statement, error }: Refusal): Promise<void> {
  const other = (await untrustedObjects(target, placeOf(entry, statement))).find(({ owner }) => owner !== entry.owner);
  if (!other) return;
  throw new RefusedError(`${describeEntry(entry)} was not created: ${other.owner} has created one on the target`, {
    remedy: "find out why that role created it, and drop or rename it on the target",
    cause: error,
  });
}

function placeOf(entry: Entry, statement: Statement): ObjectPlace {
  const kind = placeKinds.get(entry.type) ?? entry.type.toLowerCase();
  const first = statement.tokens.findIndex(({ text }) => text === ".") - 1;
  // An operator consists of several tokens.
  const created = entry.type === "OPERATOR" ? undefined : relationAt(statement, first);
  return { kind, schema: entry.schema ?? "", name: entry.name, ...created };
}

/** Drops an index with an incomplete build, so that it is built again. Returns false without such an index. */
export async function dropInvalidIndex(target: pg.Client, entry: Entry, { statement }: Refusal): Promise<boolean> {
  const schema = schemaOf(statement);
  if (schema === undefined || (entry.type !== "INDEX" && entry.type !== "CONSTRAINT")) return false;
  const { tokens } = statement;
  const key = tokens.findIndex((_, index) => follows(tokens, index, entry.type));
  const name = tokens[key + 1];
  if (key < 0 || !name) return false;
  // A partitioned table's index (relkind I) is invalid until its partitions' indexes are attached. It must not be
  // dropped.
  const { rowCount } = await target.query(
    `SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
      WHERE c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
        AND c.relname = $2 AND c.relkind = 'i' AND NOT i.indisvalid`,
    [schema, identifierName(name)],
  );
  if (rowCount === 0) return false;
  await target.query(`DROP INDEX ${qualify(schema, identifierName(name))}`);
  return true;
}
