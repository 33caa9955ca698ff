import type { Client, QueryResultRow } from "pg";
import { RefusedError } from "../errors.js";
import { qualify, quoteLiteral } from "../postgres/identifiers.js";
import { whileLocked } from "../postgres/locks/while-locked.js";
import { serverVersion } from "../postgres/server-version.js";

export interface SequenceName {
  readonly schema: string;
  readonly name: string;
}

export interface CarryOptions {
  /**
   * Advances each used sequence by this many steps of its increment, up to its limit; 0 by default. The source may still hand out
   * values while the target is in use.
   */
  readonly margin?: number;
  /** Selects sequences; by default all. */
  readonly only?: (sequence: SequenceName) => boolean;
}

/** A sequence's state. Values are decimal text, because a number cannot hold 64 bits. */
export interface SequenceState extends SequenceName {
  readonly last: string;
  readonly called: boolean;
}

interface SequenceShape extends SequenceName {
  readonly increment: string;
  readonly min: string;
  readonly max: string;
}

/** Number of sequences that one statement locks and reads: several hundred relations are planned in milliseconds. */
const sequencesPerStatement = 500;

/**
 * Sets each sequence of the target to the state of the source's sequence: the last value, and whether it was handed
 * out. This includes sequences of identity and serial columns. Sequences are not part of snapshots: these are the
 * current values.
 *
 * @param source a session outside a transaction
 * @returns the states that were set
 * @throws RefusedError naming sequences that the target lacks; the others are set
 * @throws ConcurrentChangeError if a sequence was replaced by another object before it was read
 */
export async function carrySequences(
  source: Client,
  target: Client,
  options: CarryOptions = {},
): Promise<readonly SequenceState[]> {
  const states = await readSequences(source, options);
  // setval returns the value, so that NULL means a missing sequence.
  const { rows } = await target.query<SequenceName & { set: string | null }>(
    `SELECT wanted.schema, wanted.name, setval(there.oid::regclass, wanted.last, wanted.called) AS set
       FROM json_to_recordset($1) AS wanted (schema text, name text, last int8, called bool)
       LEFT JOIN (pg_class there JOIN pg_namespace n ON n.oid = there.relnamespace AND there.relkind = 'S')
         ON n.nspname = wanted.schema AND there.relname = wanted.name`,
    [JSON.stringify(states)],
  );
  const missing = rows.filter(({ set }) => set === null).map(({ schema, name }) => qualify(schema, name));
  if (missing.length > 0)
    throw new RefusedError(`the target lacks ${missing.length} sequences of the source: ${missing.join(", ")}`, {
      remedy: "create them on the target as on the source, then start again",
    });
  return states;
}

/** The state that each sequence of the target gets. */
async function readSequences(source: Client, { margin = 0, only }: CarryOptions): Promise<SequenceState[]> {
  const shapes = await listSequences(source);
  const wanted = only ? shapes.filter(only) : shapes;
  const rows = await queryLocked<{ position: number; last: string; called: boolean }>(
    source,
    wanted,
    ({ schema, name }, position) =>
      `SELECT ${position} AS position, last_value::text AS last, is_called AS called FROM ${qualify(schema, name)}`,
  );
  return rows.map(({ position, last, called }) => {
    const shape = wanted[position]!;
    return { schema: shape.schema, name: shape.name, called, last: called ? advance(shape, last, margin) : last };
  });
}

/**
 * Runs a query over each sequence, and joins their results. Their owners cannot replace them by views meanwhile. Few are
 * locked at a time, because the server's lock table is limited.
 */
async function queryLocked<Row extends QueryResultRow>(
  source: Client,
  sequences: readonly SequenceName[],
  queryOf: (sequence: SequenceName, position: number) => string,
): Promise<Row[]> {
  const queries = sequences.map(queryOf);
  const rows: Row[] = [];
  for (let first = 0; first < sequences.length; first += sequencesPerStatement) {
    const end = first + sequencesPerStatement;
    const all = queries.slice(first, end).join(" UNION ALL ");
    const read = async (): Promise<Row[]> => (await source.query<Row>(all)).rows;
    rows.push(...(await whileLocked(source, sequences.slice(first, end), "sequence", read)));
  }
  return rows;
}

function advance({ increment, min, max }: SequenceShape, last: string, margin: number): string {
  const value = BigInt(last) + BigInt(increment) * BigInt(margin);
  if (value > BigInt(max)) return max;
  if (value < BigInt(min)) return min;
  return String(value);
}

/** Sequences created by users, and sequences of extensions whose values pg_dump includes. */
async function listSequences(source: Client): Promise<SequenceShape[]> {
  const version = await serverVersion(source);
  return version >= 100000 ? (await source.query<SequenceShape>(sequencesQuery)).rows : listOlder(source);
}

const ofUsers = `
  c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname <> 'pgmigration'
  AND (NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
       OR EXISTS (SELECT FROM pg_extension e WHERE c.oid = ANY (e.extconfig)))`;

const sequencesQuery = `
  SELECT n.nspname AS schema, c.relname AS name,
         s.seqincrement::text AS increment, s.seqmin::text AS min, s.seqmax::text AS max
    FROM pg_sequence s
    JOIN pg_class c ON c.oid = s.seqrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE ${ofUsers}
   ORDER BY 1, 2`;

/** Before PostgreSQL 10 the definition of a sequence is in its own relation. */
async function listOlder(source: Client): Promise<SequenceShape[]> {
  const { rows } = await source.query<SequenceName>(
    `SELECT n.nspname AS schema, c.relname AS name
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${ofUsers} ORDER BY 1, 2`,
  );
  return queryLocked(
    source,
    rows,
    ({ schema, name }) =>
      `SELECT ${quoteLiteral(schema)}::text AS schema, ${quoteLiteral(name)}::text AS name, increment_by::text AS increment,
              min_value::text AS min, max_value::text AS max FROM ${qualify(schema, name)}`,
  );
}
