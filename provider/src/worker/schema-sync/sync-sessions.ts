import type { Client } from "pg";
import { connect } from "../../postgres/connection/connect.js";
import { nameLockHolders } from "../../postgres/locks/name-lock-holders.js";
import type { NewObjects } from "./new-objects.js";
import type { StreamRecord } from "../followers/stream-record.js";

/**
 * Runs with a session on each side, and ends both sessions afterwards.
 *
 * @param lockSeconds how long a statement on the target waits for a lock; the stream and the target's readers wait behind it
 * @throws LockNotAvailableError when another session of the target keeps a lock; running it again loses nothing
 */
export async function withSyncSessions<Result>(
  record: StreamRecord,
  lockSeconds: number,
  run: (objects: NewObjects) => Promise<Result>,
): Promise<Result> {
  const { work, database, targetName, following } = record;
  const purpose = `${work.spec.migrationName} carry schema`;
  const opening = [
    connect(work.source, { database, purpose }),
    connect(work.target, { database: targetName, purpose }),
  ] as const;
  try {
    const [source, target] = await Promise.all(opening);
    const { sourceSearchPath, plugin, keptBack } = following;
    const deferTriggersAndForeignKeys = keptBack !== undefined;
    await target.query(`SET lock_timeout = '${lockSeconds}s'`);
    const ask = (): Promise<Client> => connect(work.target, { database: targetName, purpose: "look at locks" });
    return await nameLockHolders(target, { where: "the target", ask }, () =>
      run({
        ...{ work, database, source, target, sourceSearchPath, plugin, deferTriggersAndForeignKeys },
        leftOut: () => record.leftOut.selection,
        keptCopies: () => record.keptCopies,
      }),
    );
  } finally {
    const opened = await Promise.allSettled(opening);
    await Promise.all(opened.flatMap((one) => (one.status === "fulfilled" ? [one.value.end()] : [])));
  }
}
