import type { DamagedRecordError } from "../errors.js";
import type { MigrationSpec } from "../inputs/inputs.js";
import { recordedSpec } from "./recorded-spec.js";
import type { MigrationState, MigrationSubState, WorkerState } from "../status.js";
import { leavingKey } from "./leaving-worker.js";
import { leaseHolderQuery, workerState, type Holder } from "./lease.js";
import type { Store } from "./store.js";

/** One migration in a list. */
export interface MigrationSummary {
  readonly name: string;
  readonly spec: MigrationSpec;
  readonly state: MigrationState;
  readonly subState: MigrationSubState;
  readonly error: string | undefined;
  readonly startedOn: Date;
  readonly endedOn: Date | undefined;
  readonly workerState: WorkerState;
  /** Whether a worker ever held the lease. */
  readonly hadWorker: boolean;
  /** Generation of the running worker, if it is about to end and its copies should be handed over. */
  readonly leavingGeneration: number | undefined;
  /** Why the spec is unreadable; the migration is shown without it. */
  readonly damage: DamagedRecordError | undefined;
}

interface Row {
  readonly name: string;
  readonly spec: unknown;
  readonly state: MigrationState;
  readonly sub_state: MigrationSubState;
  readonly error: string | null;
  readonly started_at: Date;
  readonly ended_at: Date | null;
  readonly recorded_pid: number | null;
  readonly holder_pid: number | null;
  readonly silent_seconds: number | null;
  readonly leaving: number | null;
}

const query = `
  SELECT m.name, spec, state, sub_state, error, started_at, ended_at, CASE jsonb_typeof(worker -> 'backendPid') WHEN 'number' THEN (worker ->> 'backendPid')::numeric END::int AS recorded_pid,
         holder.pid AS holder_pid, holder.silent_seconds,
         CASE WHEN worker -> '${leavingKey}' = to_jsonb(generation) THEN generation::float8 END AS leaving
    FROM pgmigration.migration m LEFT JOIN LATERAL (${leaseHolderQuery("m.name")}) holder ON true`;

/** All migrations into this server, newest first. */
export async function listMigrations(store: Store): Promise<MigrationSummary[]> {
  const rows = await store.query<Row>(`${query} ORDER BY started_at DESC, m.name`);
  return rows.map(summaryOf);
}

export async function findMigration(store: Store, name: string): Promise<MigrationSummary | undefined> {
  const [row] = await store.query<Row>(`${query} WHERE m.name = $1`, [name]);
  return row && summaryOf(row);
}

function summaryOf(row: Row): MigrationSummary {
  const { spec, damage } = recordedSpec(row.name, row.spec);
  const state = workerState(row.state, row.recorded_pid, holderOf(row));
  return {
    name: row.name,
    spec,
    damage,
    state: row.state,
    subState: row.sub_state,
    error: damage?.message ?? row.error ?? undefined,
    startedOn: row.started_at,
    endedOn: row.ended_at ?? undefined,
    hadWorker: row.recorded_pid !== null,
    workerState: state,
    leavingGeneration: state === "running" ? (row.leaving ?? undefined) : undefined,
  };
}

const holderOf = ({ holder_pid: backendPid, silent_seconds: silentSeconds }: Row): Holder | undefined =>
  backendPid === null ? undefined : { backendPid, silentSeconds: silentSeconds ?? 0 };
