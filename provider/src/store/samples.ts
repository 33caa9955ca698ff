import type { Sample } from "../units/rates.js";
import { holdsLease, type Lease } from "./lease.js";
import type { Store } from "./store.js";

/**
 * Records the progress of copies and the lag, as the records have them now. Samples older than `keptForSeconds` are
 * deleted.
 */
export async function recordSample(lease: Lease, keptForSeconds: number): Promise<void> {
  await lease.query(
    `WITH stale AS (DELETE FROM pgmigration.sample WHERE migration = $1 AND kept_until < now() AND ${holdsLease})
     INSERT INTO pgmigration.sample (migration, kept_until, bytes_copied, bytes_total, lag_bytes, latency_seconds)
     SELECT $1, now() + make_interval(secs => $3), copied.bytes, copied.total, behind.bytes, behind.seconds
       FROM (SELECT coalesce(sum(bytes_copied), 0) AS bytes, coalesce(sum(bytes_total), 0) AS total
               FROM pgmigration.copy_task WHERE migration = $1) copied,
            (SELECT coalesce(sum((follow ->> 'lagBytes')::numeric), 0) AS bytes,
                    coalesce(max((follow ->> 'latencySeconds')::float8), 0) AS seconds
               FROM pgmigration.database WHERE migration = $1 AND phase = 'following' AND state <> 'Failed') behind
      WHERE ${holdsLease}
     ON CONFLICT DO NOTHING`,
    [keptForSeconds],
  );
}

/** Samples after a time (milliseconds since 1970), oldest first; all by default. */
export function readSamples(store: Store, migration: string, afterMs = 0): Promise<Sample[]> {
  return store.query<Sample>(
    `SELECT (extract(epoch FROM at) * 1000)::float8 AS "atMs", bytes_copied::float8 AS "bytesCopied",
            bytes_total::float8 AS "bytesTotal", lag_bytes::float8 AS "lagBytes", latency_seconds AS "latencySeconds"
       FROM pgmigration.sample WHERE migration = $1 AND at > to_timestamp($2::float8 / 1000)::timestamptz(3)
      ORDER BY at`,
    [migration, afterMs],
  );
}
