import { hasEnded, type MigrationState, type MigrationSubState, type WorkerState } from "../status.js";
import { attentionRank } from "./attention.js";
import type { TargetReading } from "./fleet-reader.js";
import { groupFindings, type FindingGroup, type ReportedCode } from "../display/finding-groups.js";
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
  /** 0 failed, 1 without a worker, 2 unreachable target, 3 waiting for the user, 4 running, 5 ended or no migration. */
  readonly rank: number;
  /** When the target was read, in milliseconds since 1970; null if it never was. */
  readonly readAt: number | null;
  readonly startedOn: string | null;
  /** What the migration reports, once for each code. */
  readonly findings: readonly ReportedCode[];
}

type Reading = TargetReading<readonly MigrationListItem[]>;

/** The migrations on all targets. Those that need a user come first, then by target and name. */
export const fleetRows = (readings: readonly Reading[]): FleetRow[] => readings.flatMap(rowsOf).sort(compareRows);

/** The migrations on one target, or one row for a target that has none or was not read. */
export function rowsOf(reading: Reading): FleetRow[] {
  const items = reading.content ?? [];
  return items.length === 0 ? [rowOf(reading, undefined)] : items.map((item) => rowOf(reading, item));
}

export const compareRows = (one: FleetRow, other: FleetRow): number =>
  one.rank - other.rank ||
  one.target.localeCompare(other.target) ||
  (one.migration ?? "").localeCompare(other.migration ?? "");

/** Whether the target of a row has not been read yet. */
export const isPending = ({ readAt, unreachable }: FleetRow): boolean => readAt === null && unreachable === null;

function rowOf({ target, readAt, failure }: Reading, item: MigrationListItem | undefined): FleetRow {
  const { host, port } = target.address.target;
  const { overview, currentStatus } = item ?? {};
  const different = overview?.different ?? 0;
  const [state, workerState] = [currentStatus?.state, currentStatus?.worker?.state];
  return {
    target: target.name,
    server: `${host}:${port}`,
    migration: item?.name ?? null,
    databases: item?.dbsToMigrate ?? [],
    state: state ?? null,
    subState: overview?.subState ?? null,
    worker: workerState ?? null,
    percent: overview?.percent ?? null,
    lagBytes: overview?.lagBytes ?? null,
    lagSeconds: overview?.lagSeconds ?? null,
    different,
    error: currentStatus?.error ?? null,
    unreachable: failure ?? null,
    rank: attentionRank({ state, workerState, different, isUnreachable: failure !== undefined }),
    readAt: readAt ?? null,
    startedOn: item?.startedOn ?? null,
    findings: item?.findings ?? [],
  };
}

/** Whether a row is shown by `--filter Active`: targets that cannot be read always are. */
export const isActive = ({ state, unreachable }: FleetRow): boolean =>
  unreachable !== null || (state !== null && !hasEnded(state));

/** What the migrations of these rows report, once for each code. */
export const findingsOf = (rows: readonly FleetRow[]): FindingGroup[] =>
  groupFindings(rows.map(({ target, migration, findings }) => ({ name: `${target}/${migration ?? ""}`, findings })));
