import type pg from "pg";
import { takeAdvisoryLock } from "../advisory-lock.js";

/** Serializes creating and upgrading the control schema on one server. */
const installLock = 0x70676d69;

/**
 * Shared by all sessions that are about to record a migration, so that no other session removes the empty control
 * schema.
 */
export const recordingLock = 0x70676d72;

/** Takes the lock until the session ends. */
export async function keepSchema(client: pg.Client): Promise<void> {
  await takeAdvisoryLock(client, `pg_try_advisory_lock_shared(${recordingLock})`, recordingLock);
}

/** Takes the lock until the transaction ends. */
export const takeInstallLock = (client: pg.Client): Promise<void> =>
  takeAdvisoryLock(client, `pg_try_advisory_xact_lock(${installLock})`, installLock);
