import type { SkippedTables } from "../../cdc/decode/skip-tables.js";
import { engineVersion } from "../../engine-version.js";
import { holdsLease, type WriteFence } from "../lease.js";
import { claimantIsGone } from "../membership.js";
import type { Store } from "../store.js";

/** After this time without a report, the worker that applies a lent stream counts as lost. It reports every second. */
const silentAfterSeconds = 10;

/** A request for the stream of a database, or the loan that answered it. */
export interface StreamLoanRecord {
  readonly database: string;
  /** Name of the worker that asks: host, process ID and a tag. */
  readonly borrower: string;
  /** The process that started it. */
  readonly pool: string;
  readonly engineVersion: string;
  readonly state: "asked" | "lent" | "ended";
  /** Why the worker could not apply the stream; null if it did not fail. */
  readonly error: string | null;
  readonly pendingTransactions: number;
  /** Whether the worker's session has ended, or the worker is silent, and it did not return the stream. */
  readonly isLost: boolean;
}

/** What a leader hands on with a stream. */
export interface StreamLoanTerms {
  /** Fences the stream within the leader's generation. */
  readonly term: number;
  readonly skip: SkippedTables;
}

/** A migration whose worker replicates databases. */
export interface ReplicatedMigration {
  readonly migration: string;
  /** Streams that no other worker applies or has asked for. */
  readonly kept: number;
}

const isReplicated = "d.phase = 'following' AND d.state = 'WaitingForCutoverTrigger'";
const isFree = `NOT EXISTS (
  SELECT FROM pgmigration.lend_stream l WHERE l.migration = d.migration AND l.database = d.name)`;

export async function readReplicatedMigrations(store: Store): Promise<ReplicatedMigration[]> {
  return store.query<ReplicatedMigration & Record<string, unknown>>(
    `SELECT d.migration, count(*)::int AS kept FROM pgmigration.database d
      WHERE ${isReplicated} AND ${isFree} GROUP BY d.migration`,
  );
}

/** Asks for a stream. The choice is random, because the leader may keep one that is paused. @returns its database */
export async function askForStream(right: WriteFence, pool: string): Promise<string | undefined> {
  const [row] = await right.query<{ database: string }>(
    `INSERT INTO pgmigration.lend_stream (migration, database, borrower, pool, engine_version)
     SELECT d.migration, d.name, $3, $4, $5 FROM pgmigration.database d
      WHERE d.migration = $1 AND ${isReplicated} AND ${isFree} AND ${holdsLease}
      ORDER BY random() LIMIT 1
     ON CONFLICT DO NOTHING RETURNING database`,
    [right.worker, pool, engineVersion],
  );
  return row?.database;
}

/** The answer to a report. */
export interface StreamLoanAnswer extends Partial<StreamLoanTerms> {
  readonly state: StreamLoanRecord["state"];
  /** The current input. */
  readonly applySessions: number | null;
}

/** Reports that the worker is alive. @returns undefined if its request was refused, or the stream was taken back */
export async function reportToLender(
  right: WriteFence,
  database: string,
  status: { readonly pendingTransactions: number; readonly lagBytes: number; readonly appliedLsn: string | null },
): Promise<StreamLoanAnswer | undefined> {
  const [row] = await right.query<StreamLoanAnswer>(
    `UPDATE pgmigration.lend_stream
        SET reported_at = clock_timestamp(), pending_transactions = $5, lag_bytes = $6, applied_lsn = coalesce($7, applied_lsn)
      WHERE migration = $1 AND database = $3 AND borrower = $4 AND ${holdsLease}
      RETURNING state, term::float8 AS term, skip,
                (SELECT (spec ->> 'applySessions')::int FROM pgmigration.migration WHERE name = $1) AS "applySessions"`,
    [database, right.worker, status.pendingTransactions, status.lagBytes, status.appliedLsn],
  );
  return row;
}

/** Withdraws a request that was not answered. A stream that was lent meanwhile is returned. */
export const withdrawRequest = (right: WriteFence, database: string): Promise<void> =>
  returnStream(right, database, undefined);

/** Ends a loan. @param error why the worker could not apply the stream; undefined if it did not fail */
export async function returnStream(right: WriteFence, database: string, error: string | undefined): Promise<void> {
  await right.query(
    `UPDATE pgmigration.lend_stream SET state = 'ended', error = $5
      WHERE migration = $1 AND database = $3 AND borrower = $4 AND ${holdsLease}`,
    [database, right.worker, error ?? null],
  );
}

/** All requests and loans of a migration. */
export async function readLoans(right: WriteFence): Promise<StreamLoanRecord[]> {
  return right.query<StreamLoanRecord>(
    `SELECT u.database, u.borrower, u.pool, u.engine_version AS "engineVersion", u.state, u.error,
            u.pending_transactions AS "pendingTransactions",
            u.state <> 'ended' AND (u.reported_at < clock_timestamp() - make_interval(secs => ${silentAfterSeconds})
              OR ${claimantIsGone}) AS "isLost"
       FROM (SELECT *, borrower AS claimed_by FROM pgmigration.lend_stream) u
      WHERE u.migration = $1 AND ${holdsLease}`,
  );
}

/** Answers a request. The statement may run twice. @returns false if the worker no longer asks */
export async function lendStream(
  right: WriteFence,
  { database, borrower }: Pick<StreamLoanRecord, "database" | "borrower">,
  { term, skip, startLsn }: StreamLoanTerms & { readonly startLsn: string | null },
): Promise<boolean> {
  const rows = await right.query(
    `UPDATE pgmigration.lend_stream SET state = 'lent', term = $5, skip = $6, start_lsn = $7, applied_lsn = $7
      WHERE migration = $1 AND database = $3 AND borrower = $4 AND (state = 'asked' OR state = 'lent' AND term = $5)
        AND reported_at >= clock_timestamp() - make_interval(secs => ${silentAfterSeconds}) AND ${holdsLease}
      RETURNING database`,
    [database, borrower, term, JSON.stringify(skip), startLsn],
  );
  return rows.length === 1;
}

/** Deletes a request or a loan. The worker of a loan stops when it reports next. */
export async function deleteLoan(right: WriteFence, database: string): Promise<void> {
  await right.query(`DELETE FROM pgmigration.lend_stream WHERE migration = $1 AND database = $3 AND ${holdsLease}`, [
    database,
  ]);
}

/** Deletes the requests to an earlier leader, and its loans. */
export async function deleteEarlierLoans(right: WriteFence): Promise<void> {
  await right.query(`DELETE FROM pgmigration.lend_stream WHERE migration = $1 AND ${holdsLease}`);
}
