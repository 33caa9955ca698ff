import { connect } from "../postgres/connect.js";
import type { NewObjects } from "./new-objects.js";
import type { StreamRecord } from "./stream-record.js";

/**
 * Runs with a session on either side that lives until it is over, which it is also where a line has gone dead: the
 * stream waits for it.
 */
export async function inCarrySessions<Result>(
  { work, database, targetName, following }: StreamRecord,
  run: (objects: NewObjects) => Promise<Result>,
): Promise<Result> {
  const purpose = `${work.wish.migrationName} carry schema`;
  const opening = [
    connect(work.source, { database, purpose }),
    connect(work.target, { database: targetName, purpose }),
  ] as const;
  try {
    const [source, target] = await Promise.all(opening);
    const { sourceSearchPath, plugin, keptBack } = following;
    const keepsBackFiring = keptBack !== undefined;
    return await run({ work, database, source, target, sourceSearchPath, plugin, keepsBackFiring });
  } finally {
    const opened = await Promise.allSettled(opening);
    await Promise.all(opened.flatMap((one) => (one.status === "fulfilled" ? [one.value.end()] : [])));
  }
}
