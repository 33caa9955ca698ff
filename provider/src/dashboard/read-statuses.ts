import { listMigrations } from "../store/list-migrations.js";
import { readStatus } from "../store/read-status.js";
import type { Store } from "../store/store.js";
import type { MigrationSample } from "./metrics.js";

/** The full status of every migration, for the metrics. */
export async function readStatuses(store: Store): Promise<MigrationSample[]> {
  const statuses: MigrationSample[] = [];
  for (const { name } of await listMigrations(store)) {
    const status = await readStatus(store, name);
    if (status) statuses.push({ name, status });
  }
  return statuses;
}
