import { openInSnapshot } from "../copy/snapshot.js";
import { tablesToCopy, type TableToCopy } from "../copy/tables-to-copy.js";
import { connect } from "../postgres/connect.js";
import { compareTables } from "../verify/compare-tables.js";
import { contentDiffers } from "../verify/content-differs.js";
import type { Work } from "./work.js";

export interface ComparisonOfDatabase {
  readonly database: string;
  /** The moment of the source that the target has to show. */
  readonly snapshotId: string;
  readonly signal: AbortSignal;
  /** Leaves out what is copied once and not followed: the findings have said so. */
  readonly followedOnly: boolean;
}

/**
 * Compares the rows of every table, as `verification` wants it, and writes the result down.
 *
 * @throws ContentDiffers naming tables, numbers and keys
 */
export async function compareDatabase(work: Work, comparison: ComparisonOfDatabase): Promise<void> {
  const { wish, source, target, journal } = work;
  const { database, snapshotId, signal } = comparison;
  if (wish.verification === "none") return;
  const purpose = `${wish.migrationName} compare`;
  const openSource = () => openInSnapshot(source, database, snapshotId, purpose);
  const results = await compareTables({
    openSource,
    openTarget: () => connect(target, { database, purpose }),
    tables: await tablesToCompare(openSource, comparison.followedOnly),
    mode: wish.verification,
    jobs: wish.tableJobs,
    signal,
  });
  await journal.comparisons(database, results);
  const difference = contentDiffers(database, results);
  if (difference) throw difference;
  await journal.event(`${results.length} tables compared, all equal`, { database });
}

async function tablesToCompare(
  openSource: () => ReturnType<typeof openInSnapshot>,
  followedOnly: boolean,
): Promise<TableToCopy[]> {
  const session = await openSource();
  try {
    const tables = await tablesToCopy(session);
    return followedOnly ? tables.filter(({ table }) => !table.unlogged && !table.extensionConfiguration) : tables;
  } finally {
    await session.end();
  }
}
