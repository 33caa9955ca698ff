import { TakenOverError } from "../errors.js";
import { completeSpec, type MigrationSpec } from "../inputs/inputs.js";
import type { Lease } from "./lease.js";
import { tells, type Store } from "./store.js";

/** What a user asks of a running worker. `stop` ends it without an end state, for deletion or a successor. */
export type RequestKind = "cutover" | "cancel" | "stop";

/** Stands for all databases of a migration. */
export const allDatabases = "";

export interface Request {
  readonly kind: RequestKind;
  /** A database's name, or {@link allDatabases}. */
  readonly database: string;
}

/** Asks for something, of one database or of all. */
export async function request(
  store: Store,
  migration: string,
  kind: RequestKind,
  database = allDatabases,
): Promise<void> {
  await store.query(
    `WITH asked AS (INSERT INTO pgmigration.request (migration, kind, database) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING)
     SELECT ${tells("$1")}`,
    [migration, kind, database],
  );
}

/** Takes back all requests of one kind. */
export async function withdrawRequest(store: Store, migration: string, kind: RequestKind): Promise<void> {
  await setRequests(store, migration, kind, []);
}

/** Makes the open requests of one kind those of the given databases, and no other. */
export async function setRequests(
  store: Store,
  migration: string,
  kind: RequestKind,
  databases: readonly string[],
): Promise<void> {
  await store.query(
    `WITH withdrawn AS (
       DELETE FROM pgmigration.request WHERE migration = $1 AND kind = $2 AND database <> ALL ($3::text[])
     ), asked AS (
       INSERT INTO pgmigration.request (migration, kind, database)
       SELECT $1, $2, wanted.name FROM unnest($3::text[]) AS wanted (name)
       ON CONFLICT DO NOTHING
     )
     SELECT ${tells("$1")}`,
    [migration, kind, databases],
  );
}

/** What is asked of a worker at this moment. */
export interface Orders {
  readonly requests: readonly Request[];
  readonly spec: MigrationSpec;
  /** Grows with every change of the spec. */
  readonly specRevision: number;
}

/** @throws TakenOverError when somebody else holds the lease now */
export async function readDatabaseRequests(lease: Lease): Promise<Orders> {
  const [row] = await lease.query<{ requests: Request[]; spec: MigrationSpec; revision: number }>(
    `SELECT spec, spec_revision::float8 AS revision,
            coalesce((SELECT json_agg(json_build_object('kind', kind, 'database', database))
                        FROM pgmigration.request WHERE migration = $1), '[]') AS requests
       FROM pgmigration.migration WHERE name = $1 AND generation = $2`,
  );
  if (!row) throw new TakenOverError(`another worker has taken over migration ${lease.migration}`);
  return { requests: row.requests, spec: completeSpec(row.spec), specRevision: row.revision };
}
