import type { Lsn } from "../../postgres/lsn.js";

/** A table of the source as the stream describes it, in one of its shapes. */
export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** How old rows are named: d(efault), i(ndex), f(ull), n(othing); pg_class.relreplident. */
  readonly replicaIdentity: string;
  readonly columns: readonly RelationColumn[];
  /** Whether columns that the source generates are among these; else each is written there. */
  readonly publishesGeneratedColumns: boolean;
}

export interface RelationColumn {
  readonly name: string;
  /** Part of the replica identity. */
  readonly key: boolean;
  readonly typeOid: number;
  /** pg_attribute.atttypmod; undefined when the stream does not say. */
  readonly typeModifier: number | undefined;
}

/** The source describes a table again without need, too. */
export const isSameShape = (one: Relation, other: Relation): boolean =>
  one.oid === other.oid &&
  one.schema === other.schema &&
  one.name === other.name &&
  one.replicaIdentity === other.replicaIdentity &&
  JSON.stringify(one.columns) === JSON.stringify(other.columns);

/** Where a field that is NULL starts, see {@link startOf}. */
export const nullField = -1;
/** Where a field starts that the stream does not say (an unchanged TOAST value, or no part of the key). */
export const absentField = -2;

/**
 * A row as bytes in the form of its stream, PostgreSQL's text or binary, without a JavaScript string, buffer or array
 * of its own: the places of its fields lie among those of other rows.
 */
export interface Tuple {
  readonly bytes: Buffer;
  /** From `at` on: where each field starts in the bytes, or {@link nullField} or {@link absentField}, and where it ends. */
  readonly bounds: ArrayLike<number>;
  readonly at: number;
  /** How many fields. */
  readonly fields: number;
  /** Where absent fields are looked up: an earlier state of the same row. */
  readonly base: Tuple | undefined;
}

export const startOf = ({ bounds, at }: Tuple, field: number): number => bounds[at + 2 * field]!;

export const endOf = ({ bounds, at }: Tuple, field: number): number => bounds[at + 2 * field + 1]!;

/** The tuple of the chain that knows the field; undefined when none does. */
export function tupleHolding(tuple: Tuple, field: number): Tuple | undefined {
  let holder: Tuple | undefined = tuple;
  while (holder && startOf(holder, field) === absentField) holder = holder.base;
  return holder;
}

/** The row after an update that does not say every field, on top of the row before. */
export function mergeUpdate(row: Tuple, before: Tuple | undefined): Tuple {
  if (!before || saysAll(row)) return row;
  // A state in between that adds nothing is left out, so that a thousand updates of one row make no chain of a thousand.
  const base = before.base && addsNothing(before, row) ? before.base : before;
  return { bytes: row.bytes, bounds: row.bounds, at: row.at, fields: row.fields, base };
}

function saysAll(row: Tuple): boolean {
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
  /** The old key when it changed, or the whole old row under REPLICA IDENTITY FULL. */
  readonly old: Tuple | undefined;
}

export interface Delete {
  readonly kind: "delete";
  readonly relation: Relation;
  readonly old: Tuple;
}

export interface Truncate {
  readonly kind: "truncate";
  /** Every table that was emptied, those reached by CASCADE included, as far as they are published. */
  readonly relations: readonly Relation[];
  readonly cascade: boolean;
  readonly restartIdentity: boolean;
}

export type RowChange = Insert | Update | Delete;
export type Change = RowChange | Truncate;

/** What a decoder makes of one message of the stream. */
export type StreamMessage =
  | Change
  | { readonly kind: "begin"; readonly transaction: Transaction }
  | { readonly kind: "commit"; readonly endLsn: Lsn; readonly commitTimeMs: number }
  | { readonly kind: "relation"; readonly relation: Relation }
  | { readonly kind: "ignored" };

/** A committed transaction of the source. */
export interface Transaction {
  readonly xid: number;
  /** Where its commit record starts: known at its begin from pgoutput, at its end only from test_decoding. */
  readonly commitLsn: Lsn | undefined;
  /** By the source's clock, in milliseconds since 1970; undefined until the commit with test_decoding. */
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
   * @param bytes hold the payload from `start` to `end`; the decoder may keep them, and write to them there
   * @param position the LSN in the message's header
   * @throws EngineError on bytes that are not of the protocol
   */
  decode(bytes: Buffer, start: number, end: number, position: () => Lsn): StreamMessage;
}
