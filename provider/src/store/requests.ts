import { TakenOverError } from "../errors.js";
import type { MigrationSpec } from "../inputs/inputs.js";
import type { Lease } from "./lease.js";
import { requireSpec } from "./recorded-spec.js";
import { notifyChange, type Store } from "./store.js";

/** What a user requests from a running worker. `stop` ends it without an end state, for deletion or a successor. */
export type RequestKind = "cutover" | "cancel" | "stop";

/** Means all databases of a migration. */
export const allDatabases = "";

export interface Request {
  readonly kind: RequestKind;
  /** A database's name, or {@link allDatabases}. */
  readonly database: string;
}

/** Records a request for one database or for all. */
export async function request(
  store: Store,
  migration: string,
  kind: RequestKind,
  database = allDatabases,
): Promise<void> {
  await store.query(
    `WITH asked AS (INSERT INTO pgmigration.request (migration, kind, database) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING)
     SELECT ${notifyChange("$1")}`,
    [migration, kind, database],
  );
}

/** Withdraws all requests of one kind. */
export async function withdrawRequest(store: Store, migration: string, kind: RequestKind): Promise<void> {
  await setRequests(store, migration, kind, []);
}

/** Replaces the open requests of one kind by requests for the given databases. */
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
     SELECT ${notifyChange("$1")}`,
    [migration, kind, databases],
  );
}

/** What the records currently ask of a migration. */
export interface Asked {
  readonly requests: readonly Request[];
  /** The spec's `rollback` and `verifyNow`. */
  readonly rollback: string;
  readonly verifyNow: string | undefined;
}

/** Reads what a migration is asked for; nothing if it is not recorded. */
export async function readAsked(store: Store, migration: string): Promise<Asked> {
  const [row] = await store.query<{ requests: Request[]; rollback: string | null; verifyNow: string | null }>(
    `SELECT ${requestsOf} AS requests, spec ->> 'rollback' AS rollback, spec ->> 'verifyNow' AS "verifyNow"
       FROM pgmigration.migration WHERE name = $1`,
    [migration],
  );
  return { requests: row?.requests ?? [], rollback: row?.rollback ?? "none", verifyNow: row?.verifyNow ?? undefined };
}

const requestsOf = `coalesce((SELECT json_agg(json_build_object('kind', kind, 'database', database))
                        FROM pgmigration.request WHERE migration = $1), '[]')`;

/** The open requests to a worker. */
export interface Orders {
  readonly requests: readonly Request[];
  readonly spec: MigrationSpec;
  /** Increases with each change of the spec. */
  readonly specRevision: number;
}

/** @throws TakenOverError when another worker holds the lease */
export async function readDatabaseRequests(lease: Lease): Promise<Orders> {
  const [row] = await lease.query<{ requests: Request[]; spec: unknown; revision: number }>(
    `SELECT spec, spec_revision::float8 AS revision,
            ${requestsOf} AS requests
       FROM pgmigration.migration WHERE name = $1 AND generation = $2`,
  );
  if (!row) throw new TakenOverError(`another worker has taken over migration ${lease.migration}`);
  return { requests: row.requests, spec: requireSpec(lease.migration, row.spec), specRevision: row.revision };
}
