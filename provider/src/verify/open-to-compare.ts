import type { Client } from "pg";
import { passBytes } from "../postgres/connection/pass-bytes.js";
import { openInSnapshot } from "../copy/snapshot.js";
import { type Endpoint, connect } from "../postgres/connection/connect.js";

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
export async function openToCompare({ endpoint, database, purpose, snapshotId }: PlaceToCompare): Promise<Client> {
  if (snapshotId !== undefined) return openInSnapshot(endpoint, database, snapshotId, purpose);
  const session = await connect(endpoint, { database, purpose });
  try {
    await passBytes(session);
    return session;
  } catch (error) {
    await session.end();
    throw error;
  }
}
