import { type Column, type Table, storedColumns } from "../postgres/tables.js";

export type CopyFormat = "text" | "binary";

/**
 * Built-in types whose send and receive functions speak the same bytes in every version from 10 on (manual, chapter "Data
 * Types"; src/backend/utils/adt). What is absent is absent for a reason:
 * - reg* types send an OID, which names another object on the other server;
 * - xml sends its text with a declaration that its receiver reinterprets;
 * - aclitem, pg_node_tree, pg_ndistinct and other internals have no receiver, or refuse input;
 * - xid8, pg_snapshot, jsonpath and multiranges are safe where they exist: both sides must have the type by that name.
 *
 * Texts go through the same conversion of encodings as in text format. "char" is only safe here: as text, a byte above
 * 127 is printed in two ways.
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

/** A receiver that refuses what its sender sends: tsqueryrecv takes no empty query, which tsquerysend knows. */
const sentOnly: ReadonlySet<string> = new Set(["tsquery"]);

/** Types of extensions whose binary form has never changed since PostgreSQL 10 had them. */
const sameBytesOfExtensions: ReadonlySet<string> = new Set(["citext", "hstore"]);

/** Whether what the type's send function gives is the same on every server, and names nothing by its OID. */
export function hasPortableBinaryForm(column: Pick<Column, "baseTypeSchema" | "baseType" | "element">): boolean {
  // An array names its element's type by OID, and only built-in types have the same one everywhere.
  if (column.element) return column.element.schema === "pg_catalog" && sameBytes.has(column.element.name);
  return column.baseTypeSchema === "pg_catalog" && sameBytes.has(column.baseType);
}

/**
 * Which format carries a table's rows without loss. Binary spares both servers the conversion to text; it is taken only
 * where every stored column's type is the same on both sides and has a binary form that both read alike. Composite types,
 * ranges that users made and base types of unknown extensions go as text, which their input functions have to understand.
 *
 * @param sourceVersion and targetVersion `server_version_num`
 */
export function copyFormat(source: Table, target: Table, sourceVersion: number, targetVersion: number): CopyFormat {
  // Before 10 a server may have been built with floating-point timestamps.
  if (Math.min(sourceVersion, targetVersion) < 100000) return "text";
  const targetColumns = new Map(target.columns.map((column) => [column.name, column]));
  return storedColumns(source).every((column) => {
    const twin = targetColumns.get(column.name);
    return twin !== undefined && isSameType(column, twin) && isSafeInBinary(column);
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
  // An enum is sent as its label.
  if (column.baseTypeKind === "e") return true;
  return column.baseTypeKind === "b" && sameBytesOfExtensions.has(column.baseType);
}
