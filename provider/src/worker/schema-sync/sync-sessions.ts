import type { Client } from "pg";
import { connect } from "../../postgres/connection/connect.js";
import { nameLockHolders } from "../../postgres/locks/name-lock-holders.js";
import type { NewObjects } from "./new-objects.js";
import type { StreamRecord } from "../followers/stream-record.js";

/**
 * Runs with a session on either side that lives until it is over, which it is also where a line has gone dead: the
 * stream waits for it.
 *
 * @param lockSeconds how long a statement on the target waits for a lock, and the stream and the target's readers behind it
 * @throws LockNotAvailableError when somebody on the target keeps a lock that is needed; nothing is lost by running it once more
 */
export async function withSyncSessions<Result>(
  { work, database, targetName, following }: StreamRecord,
  lockSeconds: number,
  run: (objects: NewObjects) => Promise<Result>,
): Promise<Result> {
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
      run({ work, database, source, target, sourceSearchPath, plugin, deferTriggersAndForeignKeys }),
    );
  } finally {
    const opened = await Promise.allSettled(opening);
    await Promise.all(opened.flatMap((one) => (one.status === "fulfilled" ? [one.value.end()] : [])));
  }
}
