import { listProgress } from "../../cdc/target/list-progress.js";
import { RefusedError } from "../../errors.js";
import { applicationNamePrefix, ownerSeparator } from "../../postgres/connection/connect.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { occupiedDatabases } from "../../store/records.js";
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
  const { spec, signal, journal } = work;
  const migration = (await occupiedDatabases(journal.lease.records, spec.migrationName)).get(targetName);
  if (migration !== undefined) throw refusal(`the migration ${migration}`, targetName);
  const isRetryable = (error: unknown): boolean => error instanceof RefusedError;
  await retry({ seconds: sessionsEndWithinSeconds, signal, isRetryable }, () => refuseOtherWorker(work, targetName));
  await refuseOtherProgress(work, targetName);
}

async function refuseOtherWorker({ owner, journal }: Work, targetName: string): Promise<void> {
  const [other] = await journal.lease.records.query<{ pid: number; user: string }>(
    `SELECT pid, usename AS "user" FROM pg_catalog.pg_stat_activity
      WHERE datname = $1 AND starts_with(application_name, $2) AND strpos(application_name, $3) > 0
        AND split_part(split_part(application_name, $3, 2), '.', 1) <> $4`,
    [targetName, applicationNamePrefix, ownerSeparator, owner ? digestOf(owner) : ""],
  );
  if (other) throw refusal(`another migration (session ${other.pid} of ${other.user})`, targetName);
}

/** A migration whose records are in another maintenance database may have no worker at the moment. */
async function refuseOtherProgress({ target, spec, journal }: Work, targetName: string): Promise<void> {
  const { records } = journal.lease;
  const open = "SELECT FROM pg_catalog.pg_database WHERE datname = $1 AND datallowconn";
  if ((await records.query(open, [targetName])).length === 0) return;
  const names = await withSession(
    target,
    { database: targetName, purpose: `${spec.migrationName} look for progress` },
    listProgress,
  );
  const [other] = await records.query<{ name: string }>(
    `SELECT name FROM unnest($1::text[]) AS name
      WHERE name <> $2 AND name NOT IN (SELECT name FROM pgmigration.migration)`,
    [names, spec.migrationName],
  );
  if (other)
    throw refusal(
      `the migration ${other.name}, whose records are not in ${spec.maintenanceDatabase},`,
      targetName,
      "destroy that migration, or drop the database on the target",
    );
}

const refusal = (
  user: string,
  targetName: string,
  remedy = "wait until that migration has ended, or destroy it",
): RefusedError => new RefusedError(`${user} uses ${targetName} on this target`, { code: "PGM-303", remedy });
