import type { Lsn } from "../../postgres/lsn.js";

/** One definition of a source table, as the stream describes it. */
export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** pg_class.relreplident: d(efault), i(ndex), f(ull) or n(othing). */
  readonly replicaIdentity: string;
  readonly columns: readonly RelationColumn[];
  /** Whether generated columns of the source are included. If not, every included column is a plain column there. */
  readonly publishesGeneratedColumns: boolean;
}

export interface RelationColumn {
  readonly name: string;
  /** Part of the replica identity. */
  readonly key: boolean;
  readonly typeOid: number;
  /** pg_attribute.atttypmod; undefined if the stream does not contain it. */
  readonly typeModifier: number | undefined;
}

/** Whether two descriptions are equal. The source sometimes describes an unchanged table again. */
export const isSameShape = (one: Relation, other: Relation): boolean =>
  one.oid === other.oid &&
  one.schema === other.schema &&
  one.name === other.name &&
  one.replicaIdentity === other.replicaIdentity &&
  JSON.stringify(one.columns) === JSON.stringify(other.columns);

export const isSameTable = (one: Relation, other: Relation): boolean =>
  one.schema === other.schema && one.name === other.name;

/** The start of a field that is NULL, see {@link startOf}. */
export const nullField = -1;
/** The start of a field that the stream does not contain: an unchanged TOAST value, or a column outside the key. */
export const absentField = -2;

/**
 * A row as bytes in the form of its stream: PostgreSQL's text or binary form. To save memory, a row has no string, buffer
 * or array of its own. The positions of its fields are part of an array that many rows share.
 */
export interface Tuple {
  readonly bytes: Buffer;
  /** From `at` on, two numbers for each field: its start ({@link nullField}, {@link absentField} or an index) and its end. */
  readonly bounds: ArrayLike<number>;
  readonly at: number;
  /** Number of fields. */
  readonly fields: number;
  /** An earlier state of the same row, which has the values of absent fields. */
  readonly base: Tuple | undefined;
}

export const startOf = ({ bounds, at }: Tuple, field: number): number => bounds[at + 2 * field]!;

export const endOf = ({ bounds, at }: Tuple, field: number): number => bounds[at + 2 * field + 1]!;

/** The first tuple of the chain that has the field; undefined if none has it. */
export function tupleHolding(tuple: Tuple, field: number): Tuple | undefined {
  let holder: Tuple | undefined = tuple;
  while (holder && startOf(holder, field) === absentField) holder = holder.base;
  return holder;
}

/** The row after an update. Absent fields have the values of the row before. */
export function mergeUpdate(row: Tuple, before: Tuple | undefined): Tuple {
  if (!before || hasAllFields(row)) return row;
  // Skip a state in between that adds no field. Otherwise a thousand updates of a row would build a chain of a thousand.
  const base = before.base && addsNothing(before, row) ? before.base : before;
  return { bytes: row.bytes, bounds: row.bounds, at: row.at, fields: row.fields, base };
}

function hasAllFields(row: Tuple): boolean {
  for (let field = 0; field < row.fields; field++) if (startOf(row, field) === absentField) return false;
  return true;
}

function addsNothing(between: Tuple, row: Tuple): boolean {
  for (let field = 0; field < row.fields; field++)
    if (startOf(row, field) === absentField && startOf(between, field) !== absentField) return false;
  return true;
}

export interface Insert {
  readonly kind: "insert";
  readonly relation: Relation;
  readonly row: Tuple;
}

export interface Update {
  readonly kind: "update";
  readonly relation: Relation;
  readonly row: Tuple;
  /** The old key if it changed, or the complete old row under REPLICA IDENTITY FULL. */
  readonly old: Tuple | undefined;
}

export interface Delete {
  readonly kind: "delete";
  readonly relation: Relation;
  readonly old: Tuple;
}

export interface Truncate {
  readonly kind: "truncate";
  /** All published tables that were truncated, including those that CASCADE reached. */
  readonly relations: readonly Relation[];
  readonly cascade: boolean;
  readonly restartIdentity: boolean;
}

export type RowChange = Insert | Update | Delete;
export type Change = RowChange | Truncate;

/** One decoded message of the stream. */
export type StreamMessage =
  | Change
  | { readonly kind: "begin"; readonly transaction: Transaction }
  | { readonly kind: "commit"; readonly endLsn: Lsn; readonly commitTimeMs: number }
  | { readonly kind: "relation"; readonly relation: Relation }
  | { readonly kind: "ignored" };

/** A committed transaction of the source. */
export interface Transaction {
  readonly xid: number;
  /** The start of its commit record. pgoutput sends it with BEGIN; test_decoding reports it only with the commit. */
  readonly commitLsn: Lsn | undefined;
  /** Source clock, in milliseconds since 1970; undefined until the commit with test_decoding. */
  readonly commitTimeMs: number | undefined;
}

/**
 * Whether a transaction belongs to what was committed on the source through `lsn`: its commit record begins before it. The
 * server divides a stream by the same rule. An LSN inside a commit record therefore includes that transaction.
 */
export const commitsThrough = (commitLsn: Lsn, lsn: Lsn): boolean => commitLsn < lsn;

/** Turns the payload of one XLogData message into a message. */
export interface Decoder {
  /**
   * @param bytes contain the payload from `start` to `end`. The decoder may keep and modify this range.
   * @param position returns the LSN in the message's header
   * @throws EngineError if the bytes violate the protocol
   */
  decode(bytes: Buffer, start: number, end: number, position: () => Lsn): StreamMessage;
}
