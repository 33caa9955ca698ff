import type { Wish } from "../inputs/inputs.js";
import type { MigrationState, MigrationSubState } from "../status.js";
import type { Store } from "./store.js";

/** One migration as a list shows it. */
export interface MigrationSummary {
  readonly name: string;
  readonly wish: Wish;
  readonly state: MigrationState;
  readonly subState: MigrationSubState;
  readonly error: string | undefined;
  readonly startedOn: Date;
  readonly endedOn: Date | undefined;
}

interface Row {
  readonly name: string;
  readonly wish: Wish;
  readonly state: MigrationState;
  readonly sub_state: MigrationSubState;
  readonly error: string | null;
  readonly started_at: Date;
  readonly ended_at: Date | null;
}

const columns = "name, wish, state, sub_state, error, started_at, ended_at";

/** Every migration into this server, newest first. */
export async function listMigrations(store: Store): Promise<MigrationSummary[]> {
  const rows = await store.query<Row>(`SELECT ${columns} FROM pgmigration.migration ORDER BY started_at DESC, name`);
  return rows.map(summaryOf);
}

export async function findMigration(store: Store, name: string): Promise<MigrationSummary | undefined> {
  const [row] = await store.query<Row>(`SELECT ${columns} FROM pgmigration.migration WHERE name = $1`, [name]);
  return row && summaryOf(row);
}

const summaryOf = (row: Row): MigrationSummary => ({
  name: row.name,
  wish: row.wish,
  state: row.state,
  subState: row.sub_state,
  error: row.error ?? undefined,
  startedOn: row.started_at,
  endedOn: row.ended_at ?? undefined,
});
