import { hasEnded } from "../../status.js";
import { listMigrations, type MigrationSummary } from "../../store/list-migrations.js";
import type { Store } from "../../store/store.js";

/** The migrations of a target that wait for an external worker: not ended, and without a session that holds the lease. */
export async function freeMigrations(store: Store | undefined): Promise<MigrationSummary[]> {
  if (!store) return [];
  return (await listMigrations(store)).filter(
    ({ spec, state, workerState, damage }) =>
      spec.runner === "external" && !hasEnded(state) && workerState === "lost" && damage === undefined,
  );
}
