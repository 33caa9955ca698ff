import type { Problem } from "../findings.js";
import type { Store } from "./store.js";

/** Result of the last check of the target. */
export interface TargetCheckRecord {
  /** ISO 8601, in UTC. */
  readonly at: string;
  /** Whether all databases of the target could be read. */
  readonly isComplete: boolean;
  readonly problems: readonly Problem[];
}

/** Records the result of a check of the target, instead of the one before. */
export async function recordTargetCheck(
  store: Store,
  migration: string,
  { isComplete, problems }: Pick<TargetCheckRecord, "isComplete" | "problems">,
): Promise<void> {
  await store.query(
    `INSERT INTO pgmigration.target_check (migration, is_complete, problems)
     SELECT name, $2, $3 FROM pgmigration.migration WHERE name = $1
     ON CONFLICT (migration) DO UPDATE
        SET at = excluded.at, is_complete = excluded.is_complete, problems = excluded.problems`,
    [migration, isComplete, JSON.stringify(problems)],
  );
}

/** The last check of the target; undefined before the first one. */
export async function readTargetCheck(store: Store, migration: string): Promise<TargetCheckRecord | undefined> {
  const [row] = await store.query<Omit<TargetCheckRecord, "at"> & { readonly at: Date }>(
    `SELECT at, is_complete AS "isComplete", problems FROM pgmigration.target_check WHERE migration = $1`,
    [migration],
  );
  return row && { ...row, at: row.at.toISOString() };
}
