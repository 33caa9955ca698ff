import type pg from "pg";
import { adaptedEntryOf } from "./adapted-entry.js";
import type { Entry } from "../sql/toc-entries.js";
import { refused } from "../sql/refused.js";
import type { RestoreContext } from "./restore-context.js";
import { parallelGroupsOf } from "./parallel-groups.js";
import { rootCause } from "./skipped-entries.js";
import { watched, transactionSettings } from "./restore-transaction.js";
import { learnAccessMethods } from "./restore-entry.js";

/**
 * Restores entries in several sessions: groups in parallel, and the entries of each with {@link restoreTogether}.
 * Returns the restored entries.
 */
export type RestoreApart = (groups: readonly (readonly Entry[])[]) => Promise<ReadonlySet<Entry>>;

/** Restores the entries of a batch, or none of them. */
export type RestoreBatch = (target: pg.Client, batch: readonly Entry[]) => Promise<void>;

/** Entries per transaction: each created table needs some of the server's locks until the commit. */
const entriesPerTransaction = 100;

/** Kinds for which the server only warns if it ignores a statement. */
const isWatched = ({ type }: Entry): boolean => type === "ACL" || type === "DEFAULT ACL";

/** Divides consecutive entries into transactions. Otherwise thousands of tables would need thousands of commits. */
export function* batches(entries: readonly Entry[]): Generator<readonly Entry[]> {
  let batch: Entry[] = [];
  for (const entry of entries) {
    if (batch.length === entriesPerTransaction || (batch.length > 0 && isWatched(entry) !== isWatched(batch[0]!))) {
      yield batch;
      batch = [];
    }
    batch.push(entry);
  }
  if (batch.length > 0) yield batch;
}

/** The entries that remain after the parallel restore, in the dump's order. */
export async function* batchesLeft(entries: readonly Entry[], apart: RestoreApart): AsyncGenerator<readonly Entry[]> {
  for (const { entries: stretch, groups } of parallelGroupsOf(entries)) {
    const restored = groups.length > 1 ? await apart(groups) : undefined;
    yield* batches(restored ? stretch.filter((entry) => !restored.has(entry)) : stretch);
  }
}

/**
 * Restores entries in one transaction and one round trip. Returns false, with no changes, if any entry needs adaptation
 * or is refused.
 */
export async function restoreTogether(
  target: pg.Client,
  batch: readonly Entry[],
  context: RestoreContext,
): Promise<boolean> {
  if (context.resumed || batch.some((entry) => rootCause(entry, context) !== undefined)) return false;
  const drafts = batch.map((entry) => adaptedEntryOf(entry, context));
  const plain = drafts.every((draft) => draft.findings.length === 0 && Object.keys(draft.settings).length === 0);
  if (!plain) return false;
  const statements = drafts.flatMap((draft) => draft.statements.map(({ text }) => text));
  if (statements.length === 0) return true;
  const all = `BEGIN; ${transactionSettings(drafts[0]!)}; ${statements.join(";\n")}`;
  // Statements with possible warnings are not committed before the warnings are read.
  const commitsApart = batch.some(isWatched);
  const { answer: error, ungranted } = await watched(target, () =>
    refused(target, commitsApart ? all : `${all};\nCOMMIT`),
  );
  if (error || ungranted.length > 0) {
    await refused(target, "ROLLBACK");
    return false;
  }
  if (commitsApart) return (await refused(target, "COMMIT")) === undefined;
  await learnAccessMethods(target, batch, context);
  return true;
}

/**
 * Restores groups in several sessions. Returns the restored entries.
 *
 * @param run restores the batches of each group one after another, with sessions of its own
 */
export async function restoreGroups(
  groups: readonly (readonly Entry[])[],
  context: RestoreContext,
  run: (groups: readonly (readonly Entry[])[][], restoreBatch: RestoreBatch) => Promise<void>,
): Promise<ReadonlySet<Entry>> {
  const restored = new Set<Entry>();
  const batched = groups.map((group) => [...batches(group)]);
  await run(batched, async (target, batch) => {
    if (await restoreTogether(target, batch, context)) for (const entry of batch) restored.add(entry);
  });
  return restored;
}
