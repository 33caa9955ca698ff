import type { Client } from "pg";
import { serverVersion } from "../server-version.js";

/** If more transactions have ended, they are counted without a lookup of their outcome. */
const maxLookedUp = 100_000;

/**
 * The number of transactions of the whole server that committed since a snapshot, including subtransactions. The result 0 is
 * exact: every transaction that writes has an ID. Reads, checkpoints and VACUUM have none, but ANALYZE has one, also if
 * autovacuum runs it. Before PostgreSQL 10, transactions that were rolled back are included. On a standby, a snapshot does not
 * list the running transactions: some that ended before the snapshot are included.
 *
 * @param txidSnapshot the result of txid_current_snapshot() in that snapshot
 * @example (await committedSince(session, snapshot.txidSnapshot)) === 0
 */
export async function committedSince(session: Client, txidSnapshot: string): Promise<number> {
  const isCommitted = (await serverVersion(session)) >= 100000 ? "txid_status(id) = 'committed'" : "true";
  const { rows } = await session.query<{ count: number }>(
    `SELECT CASE WHEN next - first > ${maxLookedUp} THEN next - first ELSE
              (SELECT count(*)
                 FROM (SELECT * FROM txid_snapshot_xip($1::txid_snapshot)
                       UNION SELECT * FROM generate_series(first, next - 1)) AS started (id)
                WHERE txid_visible_in_snapshot(id, txid_current_snapshot()) AND ${isCommitted})
            END::float8 AS count
       FROM (SELECT CASE WHEN pg_is_in_recovery() THEN txid_snapshot_xmin($1::txid_snapshot)
                         ELSE txid_snapshot_xmax($1::txid_snapshot) END AS first,
                    txid_snapshot_xmax(txid_current_snapshot()) AS next) AS span`,
    [txidSnapshot],
  );
  return rows[0]!.count;
}
