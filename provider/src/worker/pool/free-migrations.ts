import { hasEnded } from "../../status.js";
import { listMigrations, type MigrationSummary } from "../../store/list-migrations.js";
import type { Store } from "../../store/store.js";
import { readReplicatedMigrations } from "../../store/streams/lent-streams.js";

/** What a pool does for a target. */
export interface PoolWork {
  /** Migrations that wait for an external worker: not ended, and without a session that holds the lease. */
  readonly free: readonly MigrationSummary[];
  /** Migrations whose worker is about to end: the pool holds the snapshots of their copies. */
  readonly leaving: readonly MigrationSummary[];
  /** Migrations whose worker has streams that it may lend, and their number. */
  readonly lending: readonly LendingMigration[];
}

export interface LendingMigration extends MigrationSummary {
  readonly kept: number;
}

export async function poolWork(store: Store | undefined): Promise<PoolWork> {
  const all = store ? await listMigrations(store) : [];
  const external = all.filter(
    ({ spec, state, damage }) => spec.runner === "external" && !hasEnded(state) && damage === undefined,
  );
  const kept = new Map(
    store ? (await readReplicatedMigrations(store)).map((one) => [one.migration, one.kept] as const) : [],
  );
  return {
    lending: external
      .filter(({ workerState }) => workerState === "running")
      .flatMap((one) => ((kept.get(one.name) ?? 0) < 2 ? [] : [{ ...one, kept: kept.get(one.name)! }])),
    free: external.filter(({ workerState }) => workerState === "lost"),
    leaving: external.filter(({ leavingGeneration }) => leavingGeneration !== undefined),
  };
}
