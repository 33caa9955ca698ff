import { hasEnded, type MigrationState, type MigrationSubState, type WorkerState } from "../status.js";
import { attentionRank } from "./attention.js";
import type { TargetReading } from "./fleet-reader.js";
import type { MigrationListItem } from "./list-overviews.js";

/** One migration of a fleet, or a target that has none or cannot be read. */
export interface FleetRow {
  readonly target: string;
  /** `host:port` of the target. */
  readonly server: string;
  readonly migration: string | null;
  readonly databases: readonly string[];
  /** Null without a migration. */
  readonly state: MigrationState | null;
  readonly subState: MigrationSubState | null;
  readonly worker: WorkerState | null;
  /** Progress of the initial copy; null if the migration has ended. */
  readonly percent: number | null;
  readonly lagBytes: number | null;
  readonly lagSeconds: number | null;
  readonly different: number;
  /** Why the migration failed. */
  readonly error: string | null;
  /** Why the target cannot be read. All other values are then as of `readAt`. */
  readonly unreachable: string | null;
  /** When the target was read, in milliseconds since 1970; null if it never was. */
  readonly readAt: number | null;
  readonly startedOn: string | null;
}

type Reading = TargetReading<readonly MigrationListItem[]>;

/** The migrations on all targets. Those that need a user come first, then by target and name. */
export function fleetRows(readings: readonly Reading[]): FleetRow[] {
  const rows = readings.flatMap((reading) => {
    const items = reading.content ?? [];
    return items.length === 0 ? [rowOf(reading, undefined)] : items.map((item) => rowOf(reading, item));
  });
  return rows.sort(
    (one, other) =>
      rankOf(one) - rankOf(other) ||
      one.target.localeCompare(other.target) ||
      (one.migration ?? "").localeCompare(other.migration ?? ""),
  );
}

const rankOf = ({ state, worker, different, unreachable }: FleetRow): number =>
  attentionRank({
    ...{ state: state ?? undefined, workerState: worker ?? undefined, different },
    isUnreachable: unreachable !== null,
  });

function rowOf({ target, readAt, failure }: Reading, item: MigrationListItem | undefined): FleetRow {
  const { host, port } = target.address.target;
  const { overview, currentStatus } = item ?? {};
  return {
    target: target.name,
    server: `${host}:${port}`,
    migration: item?.name ?? null,
    databases: item?.dbsToMigrate ?? [],
    state: currentStatus?.state ?? null,
    subState: overview?.subState ?? null,
    worker: currentStatus?.worker?.state ?? null,
    percent: overview?.percent ?? null,
    lagBytes: overview?.lagBytes ?? null,
    lagSeconds: overview?.lagSeconds ?? null,
    different: overview?.different ?? 0,
    error: currentStatus?.error ?? null,
    unreachable: failure ?? null,
    readAt: readAt ?? null,
    startedOn: item?.startedOn ?? null,
  };
}

/** Whether a row is shown by `--filter Active`: targets that cannot be read always are. */
export const isActive = ({ state, unreachable }: FleetRow): boolean =>
  unreachable !== null || (state !== null && !hasEnded(state));
