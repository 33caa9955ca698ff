import { type Column, type Table, storedColumns } from "../postgres/tables.js";

export type CopyFormat = "text" | "binary";

/**
 * Built-in types whose binary format is the same in every version from 10 on (manual, chapter "Data Types";
 * src/backend/utils/adt). Types are missing for these reasons:
 * - reg* types send an OID, which identifies another object on the other server;
 * - xml sends its text with a declaration that the receiver reinterprets;
 * - aclitem, pg_node_tree, pg_ndistinct and other internal types have no receive function, or refuse input;
 *
 * xid8, pg_snapshot, jsonpath and multiranges do not exist in every version. They are safe, because both servers must have the type.
 * Texts are converted between encodings as in text format. "char" is safe only in binary format, because text format
 * has two forms for bytes above 127.
 */
const sameBytes: ReadonlySet<string> = new Set([
  ...["bool", "int2", "int4", "int8", "float4", "float8", "numeric", "money", "oid"],
  ...["text", "varchar", "bpchar", "name", "char", "bytea", "bit", "varbit", "uuid"],
  ...["date", "time", "timetz", "timestamp", "timestamptz", "interval"],
  ...["json", "jsonb", "jsonpath", "tsvector", "tsquery"],
  ...["inet", "cidr", "macaddr", "macaddr8"],
  ...["point", "line", "lseg", "box", "path", "polygon", "circle"],
  ...["int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange"],
  ...["int4multirange", "int8multirange", "nummultirange", "tsmultirange", "tstzmultirange", "datemultirange"],
  ...["xid", "cid", "tid", "xid8", "pg_lsn", "txid_snapshot", "pg_snapshot", "refcursor"],
  ...["int2vector", "oidvector"],
]);

/** Types whose receive function refuses some output of the send function: tsqueryrecv refuses an empty query. */
const sentOnly: ReadonlySet<string> = new Set(["tsquery"]);

/** Types of extensions whose binary format has not changed since PostgreSQL 10. */
const sameBytesOfExtensions: ReadonlySet<string> = new Set(["citext", "hstore"]);

/**
 * Whether the output of the type's send function is the same on every server, and contains no OID of a user's object.
 */
export function hasPortableBinaryForm(column: Pick<Column, "baseTypeSchema" | "baseType" | "element">): boolean {
  // An array contains the OID of its element type, and only built-in types have the same OID on every server.
  if (column.element) return column.element.schema === "pg_catalog" && sameBytes.has(column.element.name);
  return column.baseTypeSchema === "pg_catalog" && sameBytes.has(column.baseType);
}

/**
 * Chooses the format that copies a table's rows without loss. The binary format saves both servers the conversion to
 * text. It requires that each stored column has the same type on both servers, with a portable binary format. Composite
 * types, ranges created by users and base types of unknown extensions are copied as text.
 *
 * @param sourceVersion and targetVersion `server_version_num`
 */
export function copyFormat(source: Table, target: Table, sourceVersion: number, targetVersion: number): CopyFormat {
  // Servers before 10 may have been built with floating-point timestamps.
  if (Math.min(sourceVersion, targetVersion) < 100000) return "text";
  const targetColumns = new Map(target.columns.map((column) => [column.name, column]));
  return storedColumns(source).every((column) => {
    const targetColumn = targetColumns.get(column.name);
    return targetColumn !== undefined && isSameType(column, targetColumn) && isSafeInBinary(column);
  })
    ? "binary"
    : "text";
}

const isSameType = (one: Column, other: Column): boolean =>
  one.type === other.type &&
  one.baseTypeSchema === other.baseTypeSchema &&
  one.baseType === other.baseType &&
  one.baseTypeKind === other.baseTypeKind;

function isSafeInBinary(column: Column): boolean {
  if (hasPortableBinaryForm(column)) return !sentOnly.has(column.element?.name ?? column.baseType);
  if (column.element) return false;
  // The binary format of an enum is its label.
  if (column.baseTypeKind === "e") return true;
  return column.baseTypeKind === "b" && sameBytesOfExtensions.has(column.baseType);
}
