import type { Wish } from "../../inputs/inputs.js";
import { connect, type Endpoint } from "../../postgres/connection/connect.js";

/** How many tables are copied, and how many indexes built, at the same time. */
export interface Jobs {
  readonly tableJobs: number;
  readonly indexJobs: number;
}

/** Where nothing is known of the servers. */
export const usualJobs: Jobs = { tableJobs: 4, indexJobs: 4 };

const mostJobs = 8;
const gibibyte = 1024 ** 3;

interface Capacity {
  readonly freeConnections: number;
  readonly sharedBuffersBytes: number;
  readonly maintenanceWorkMemBytes: number;
}

/**
 * What two servers can bear, as far as their settings tell. A table takes a session on both, an index one on the target:
 * together they leave half of the free connections to others. No setting tells of processors, but a managed server's
 * shared_buffers grow with them, about a gibibyte for each on Azure (a quarter of the memory), so that larger servers get
 * more than the usual four jobs, up to eight. Indexes that are built at the same time stay within twice the target's
 * shared_buffers with their maintenance_work_mem.
 *
 * @throws as connect
 */
export async function defaultJobs(
  { source, target }: { readonly source: Endpoint; readonly target: Endpoint },
  { dbsToMigrate, maintenanceDatabase }: Pick<Wish, "dbsToMigrate" | "maintenanceDatabase">,
): Promise<Jobs> {
  return jobsFor(await capacity(source, dbsToMigrate[0]!), await capacity(target, maintenanceDatabase));
}

/** @see defaultJobs */
export function jobsFor(source: Capacity, target: Capacity): Jobs {
  const byConnections = Math.floor(Math.min(source.freeConnections, target.freeConnections) / 4);
  const buffersBytes = Math.min(source.sharedBuffersBytes, target.sharedBuffersBytes);
  const bySize = Math.min(mostJobs, Math.max(usualJobs.tableJobs, Math.floor(buffersBytes / gibibyte)));
  const byMemory = Math.max(2, Math.floor((2 * target.sharedBuffersBytes) / target.maintenanceWorkMemBytes));
  const tableJobs = Math.max(1, Math.min(bySize, byConnections));
  return { tableJobs, indexJobs: Math.min(tableJobs, byMemory) };
}

async function capacity(endpoint: Endpoint, database: string): Promise<Capacity> {
  const session = await connect(endpoint, { database, purpose: "look at settings" });
  try {
    const { rows } = await session.query<{ free: number; buffers: string; memory: string }>(
      `SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                - (SELECT sum(numbackends)::int FROM pg_stat_database) AS free,
              (SELECT setting::int8 * 8192 FROM pg_settings WHERE name = 'shared_buffers')::text AS buffers,
              (SELECT setting::int8 * 1024 FROM pg_settings WHERE name = 'maintenance_work_mem')::text AS memory`,
    );
    const { free, buffers, memory } = rows[0]!;
    return {
      freeConnections: free,
      sharedBuffersBytes: Number(buffers),
      maintenanceWorkMemBytes: Number(memory),
    };
  } finally {
    await session.end();
  }
}
