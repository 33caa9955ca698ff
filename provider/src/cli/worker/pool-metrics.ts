import { gauge } from "../../dashboard/metrics.js";
import type { PoolFigures } from "../../worker/pool/worker-pool.js";

/** The numbers of a pool process in Prometheus' text format. */
export const poolMetricsText = (figures: PoolFigures): string =>
  [
    gauge("pool_targets", "Targets on the list of the pool", figures.targets),
    gauge("pool_targets_unreachable", "Targets that cannot be read", figures.unreachableTargets),
    gauge("pool_workers", "Worker processes of this pool process", figures.workers),
    gauge("pool_workers_max", "Largest number of worker processes, from --max-migrations", figures.maxWorkers),
    gauge("pool_migrations_waiting", "Migrations that wait for a worker of any pool", figures.waitingMigrations),
  ].join("");
