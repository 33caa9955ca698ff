import type { Client } from "pg";
import type { OnlineVerification } from "../../../provider/src/status";
import { verificationOf } from "../../online/verification/verification-of";
import type { Lab } from "../../support/lab";
import type { Resource } from "../../support/resource";
import { until } from "../../support/until";

/** A table of 40 MB, of which several workers compare a part each, and small ones. */
export const tables = 8;
export const someTables = `
  CREATE TABLE big (id int PRIMARY KEY, v text);
  INSERT INTO big SELECT i, repeat(md5(i::text), 31) FROM generate_series(1, 40000) i;
  ${Array.from({ length: tables - 1 }, (_, i) => `CREATE TABLE t${i} (id int PRIMARY KEY, v text); INSERT INTO t${i} SELECT i, md5(i::text) FROM generate_series(1, 500) i;`).join("\n")}`;

export interface Claim {
  readonly id: number;
  readonly worker: string;
  readonly pid: number;
}

/** The tasks that workers compare now. */
export async function claims(lab: Lab, database: string): Promise<Claim[]> {
  const rows = await lab.target.query<Record<keyof Claim, never>>(
    `SELECT id, claimed_by AS worker, substring(claimed_by FROM ':([0-9]+):')::int AS pid FROM pgmigration.comparison_task
      WHERE database = $1 AND claimed_by IS NOT NULL AND results IS NULL ORDER BY id`,
    { values: [database] },
  );
  return rows;
}

/** Waits until so many workers have claimed a task each, which a lock of the test holds up. */
export async function workersCompare(lab: Lab, database: string, workers: number): Promise<Claim[]> {
  let found: Claim[] = [];
  await until(`${workers} workers compare`, async () => {
    found = await claims(lab, database);
    return new Set(found.map(({ worker }) => worker)).size === workers;
  });
  return found;
}

/** Locks the large table on the target, so that its comparison waits. */
export async function hold(lab: Lab, database: string): Promise<Client> {
  const obstacle = await lab.target.connect(database);
  await obstacle.query("BEGIN; LOCK TABLE big IN ACCESS EXCLUSIVE MODE");
  return obstacle;
}

export async function release(obstacle: Client): Promise<void> {
  await obstacle.query("ROLLBACK");
  await obstacle.end();
}

export async function verify(resource: Resource, database: string, name: string): Promise<OnlineVerification> {
  return verificationOf(await resource.update({ verifyNow: name }), database);
}

/** What comparisons leave in the records, and the sessions in which helpers compare. */
export async function leftOfComparisons(lab: Lab): Promise<unknown[]> {
  const records = await lab.target.query(
    "SELECT id FROM pgmigration.shared_comparison UNION ALL SELECT copy FROM pgmigration.comparison_task",
  );
  return [...records, ...(await helperSessions(lab))];
}

export async function helperSessions(lab: Lab, worker = ""): Promise<unknown[]> {
  const sessions = `SELECT pid, application_name FROM pg_stat_activity WHERE application_name LIKE 'pg-migration compare ${worker.slice(-8)}%'`;
  return [...(await lab.source.query(sessions)), ...(await lab.target.query(sessions))];
}

export async function eventsOf(lab: Lab, database: string): Promise<string[]> {
  const rows = await lab.target.query<{ message: string }>(
    "SELECT message FROM pgmigration.event WHERE database = $1 ORDER BY id",
    { values: [database] },
  );
  return rows.map(({ message }) => message);
}

export const leaderPid = async (lab: Lab, migration: unknown): Promise<number> => {
  const [row] = await lab.target.query<{ pid: number }>(
    "SELECT (worker ->> 'pid')::int AS pid FROM pgmigration.migration WHERE name = $1",
    { values: [migration] },
  );
  return row!.pid;
};
