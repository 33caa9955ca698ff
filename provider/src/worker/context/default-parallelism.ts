import type { MigrationSpec } from "../../inputs/inputs.js";
import { freeConnections } from "../../postgres/free-connections.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";

/** How many tables are copied, and how many indexes built, at the same time. */
export interface Parallelism {
  readonly tableJobs: number;
  readonly indexJobs: number;
}

/** Used until the servers' settings are known. */
export const defaultParallelism: Parallelism = { tableJobs: 4, indexJobs: 4 };

const maxJobs = 8;
const gibibyte = 1024 ** 3;

interface Capacity {
  readonly freeConnections: number;
  readonly sharedBuffersBytes: number;
  readonly maintenanceWorkMemBytes: number;
}

/**
 * Derives the parallelism from the settings of both servers. A table job takes a session on both, an index job one on the
 * target. Together they use at most half of the free connections. No setting contains the number of processors. On Azure,
 * shared_buffers is a quarter of the memory, about 1 GiB per processor, so larger servers get up to eight jobs. The
 * maintenance_work_mem of concurrent index builds stays within twice the target's shared_buffers.
 *
 * @throws RefusedError, UnreachableError as `connect` does
 */
export async function defaultJobs(
  { source, target }: { readonly source: Endpoint; readonly target: Endpoint },
  { dbsToMigrate, maintenanceDatabase }: Pick<MigrationSpec, "dbsToMigrate" | "maintenanceDatabase">,
): Promise<Parallelism> {
  const capacities = [capacity(source, dbsToMigrate[0]!), capacity(target, maintenanceDatabase)] as const;
  return parallelismFor(...(await Promise.all(capacities)));
}

/** @see defaultJobs */
export function parallelismFor(source: Capacity, target: Capacity): Parallelism {
  const byConnections = Math.floor(Math.min(source.freeConnections, target.freeConnections) / 4);
  const buffersBytes = Math.min(source.sharedBuffersBytes, target.sharedBuffersBytes);
  const bySize = Math.min(maxJobs, Math.max(defaultParallelism.tableJobs, Math.floor(buffersBytes / gibibyte)));
  const byMemory = Math.max(2, Math.floor((2 * target.sharedBuffersBytes) / target.maintenanceWorkMemBytes));
  const tableJobs = Math.max(1, Math.min(bySize, byConnections));
  return { tableJobs, indexJobs: Math.min(tableJobs, byMemory) };
}

function capacity(endpoint: Endpoint, database: string): Promise<Capacity> {
  return withSession(endpoint, { database, purpose: "read settings" }, async (session) => {
    const { rows } = await session.query<{ buffers: string; memory: string }>(
      `SELECT (SELECT setting::int8 * 8192 FROM pg_settings WHERE name = 'shared_buffers')::text AS buffers,
              (SELECT setting::int8 * 1024 FROM pg_settings WHERE name = 'maintenance_work_mem')::text AS memory`,
    );
    const { buffers, memory } = rows[0]!;
    return {
      freeConnections: await freeConnections(session),
      sharedBuffersBytes: Number(buffers),
      maintenanceWorkMemBytes: Number(memory),
    };
  });
}
