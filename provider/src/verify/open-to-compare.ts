import type { Client } from "pg";
import { passBytes } from "../postgres/connection/pass-bytes.js";
import { openInSnapshot } from "../copy/snapshot.js";
import { connect } from "../postgres/connection/connect.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { refuseViews } from "../postgres/planner-functions.js";
import type { ComparisonView } from "./compare-tables.js";

/** The server, database and snapshot of a comparison. */
export interface PlaceToCompare {
  readonly endpoint: Endpoint;
  readonly database: string;
  /** Purpose of the sessions, see {@link connect}. */
  readonly purpose: string;
  /** The snapshot to read in. By default, each statement reads the current state. */
  readonly snapshotId?: string;
}

/**
 * Opens a session for a comparison, with the same output format as the copy. @throws the errors of openInSnapshot and
 * connect
 */
export async function openToCompare(
  { endpoint, database, purpose, snapshotId }: PlaceToCompare,
  view: ComparisonView = "rows",
): Promise<Client> {
  if (view === "rows" && snapshotId !== undefined) return openInSnapshot(endpoint, database, snapshotId, purpose);
  const session = await connect(endpoint, { database, purpose });
  try {
    await passBytes(session);
    await refuseViews(session);
    return session;
  } catch (error) {
    await session.end();
    throw error;
  }
}
