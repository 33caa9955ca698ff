import { TakenOver } from "../errors.js";
import type { Lease } from "./lease.js";
import type { Store } from "./store.js";

/** What a user asks of a running worker. `stop` ends it without an end state, for deletion or a successor. */
export type RequestKind = "cutover" | "cancel" | "stop";

export async function request(store: Store, migration: string, kind: RequestKind): Promise<void> {
  await store.query(`INSERT INTO pgmigration.request (migration, kind) VALUES ($1, $2) ON CONFLICT DO NOTHING`, [
    migration,
    kind,
  ]);
}

export async function withdrawRequest(store: Store, migration: string, kind: RequestKind): Promise<void> {
  await store.query("DELETE FROM pgmigration.request WHERE migration = $1 AND kind = $2", [migration, kind]);
}

/** The open requests. @throws TakenOver when somebody else holds the lease now */
export async function openRequests(lease: Lease): Promise<Set<RequestKind>> {
  const [row] = await lease.query<{ kinds: RequestKind[] }>(
    `SELECT array(SELECT kind FROM pgmigration.request WHERE migration = $1) AS kinds
       FROM pgmigration.migration WHERE name = $1 AND generation = $2`,
  );
  if (!row) throw new TakenOver(`another worker has taken over migration ${lease.migration}`);
  return new Set(row.kinds);
}
