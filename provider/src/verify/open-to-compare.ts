import type { Client } from "pg";
import { passBytes } from "../postgres/connection/pass-bytes.js";
import { openInSnapshot } from "../copy/snapshot.js";
import { connect } from "../postgres/connection/connect.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { refuseViews } from "../postgres/planner-functions.js";
import type { ComparisonView } from "./compare-tables.js";

/** Where a comparison reads. */
export interface PlaceToCompare {
  readonly endpoint: Endpoint;
  readonly database: string;
  /** What its sessions are for, as {@link connect} shows it. */
  readonly purpose: string;
  /** The moment that is seen; every statement sees what is there by then where none is given. */
  readonly snapshotId?: string;
}

/** Opens a session for a comparison, in which values print as they are copied. @throws as openInSnapshot and connect */
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
