import { RefusedError } from "../../errors.js";
import { applicationNamePrefix, ownerSeparator } from "../../postgres/connection/connect.js";
import { occupiedDatabases } from "../../store/records.js";
import { withExistingStore, type Store } from "../../store/store.js";
import { retry } from "../context/retry.js";
import { digestOf } from "../context/session-owner.js";
import type { Work } from "../context/work.js";

/** The worker of a deleted record ends its sessions within seconds. */
const sessionsEndWithinSeconds = 10;

/**
 * Refuses to replace a target database that another migration uses. The validation refuses it earlier, but it may be
 * skipped, and it does not know migrations with records in another maintenance database.
 *
 * @throws RefusedError naming the other migration
 * @example await refuseOccupiedDatabase(work, "crm")
 */
export async function refuseOccupiedDatabase(work: Work, targetName: string): Promise<void> {
  const { target, spec, signal } = work;
  await withExistingStore({ ...spec, target }, `${spec.migrationName} records`, async (store) => {
    if (!store) return;
    const migration = (await occupiedDatabases(store, spec.migrationName)).get(targetName);
    if (migration !== undefined) throw refusal(`the migration ${migration}`, targetName);
    const isRetryable = (error: unknown): boolean => error instanceof RefusedError;
    await retry({ seconds: sessionsEndWithinSeconds, signal, isRetryable }, () =>
      refuseOtherWorker(store, work, targetName),
    );
  });
}

async function refuseOtherWorker(store: Store, { owner }: Work, targetName: string): Promise<void> {
  const [other] = await store.query<{ pid: number; user: string }>(
    `SELECT pid, usename AS "user" FROM pg_catalog.pg_stat_activity
      WHERE datname = $1 AND starts_with(application_name, $2) AND strpos(application_name, $3) > 0
        AND split_part(split_part(application_name, $3, 2), '.', 1) <> $4`,
    [targetName, applicationNamePrefix, ownerSeparator, owner ? digestOf(owner) : ""],
  );
  if (other) throw refusal(`another migration (session ${other.pid} of ${other.user})`, targetName);
}

const refusal = (user: string, targetName: string): RefusedError =>
  new RefusedError(`${user} uses ${targetName} on this target`, {
    code: "PGM-303",
    remedy: "wait until that migration has ended, or destroy it",
  });
