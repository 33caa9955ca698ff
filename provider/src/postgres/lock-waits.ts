import type { Client } from "pg";

const patienceSeconds = 60;

/** Has a session's statements give up on a lock that somebody else holds on: while applications wait, nothing may wait for ever. */
export async function limitLockWaits(session: Client): Promise<void> {
  await session.query(`SET lock_timeout = '${patienceSeconds}s'`);
}

/** Whether a statement failed because a lock was not granted in that time; ours wrap the server's error. */
export const isLockTimeout = (error: unknown): boolean =>
  [error, (error as { cause?: unknown }).cause].some((one) => (one as { code?: string } | undefined)?.code === "55P03");

/** How to find whom a statement has waited for. */
export const lockRemedy =
  "end the session that holds the lock, e.g. one of SELECT pid, relation::regclass, mode FROM pg_locks WHERE granted AND mode ~ 'Exclusive', and try again";
