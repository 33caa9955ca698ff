import type { Client } from "pg";
import type { SourceSize } from "./recommend-sku.js";

/** Reads what {@link recommendSku} needs from any database of the source. */
export async function readSourceSize(
  source: Client,
  databases: readonly string[],
): Promise<Omit<SourceSize, "vCores" | "sharedBuffersShare">> {
  const { rows } = await source.query<
    Omit<SourceSize, "vCores" | "sharedBuffersShare" | "readsPerSecond"> & { reads: number | null }
  >(
    `SELECT (SELECT coalesce(sum(pg_database_size(datname)), 0)::float8 FROM pg_database WHERE datname = ANY ($1)) AS "databaseBytes",
            (SELECT setting::float8 FROM pg_settings WHERE name = 'shared_buffers')
              * current_setting('block_size')::int AS "sharedBuffersBytes",
            current_setting('max_connections')::int AS "maxConnections",
            (SELECT sum(blks_read / nullif(extract(epoch FROM now() - stats_reset), 0))::float8
               FROM pg_stat_database WHERE datname = ANY ($1)) AS reads`,
    [[...databases]],
  );
  const { reads, ...size } = rows[0]!;
  return { ...size, readsPerSecond: reads ?? undefined };
}
