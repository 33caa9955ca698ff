import { endEarlierSessionsOn, type Side, type SessionSelection } from "../cleanup/earlier-sessions.js";
import type { RunContext } from "../context/run-context.js";

/**
 * Terminates open sessions of earlier workers, which hold locks and snapshots. This worker waits for those it may not
 * terminate.
 */
export async function endStaleSessions(context: RunContext): Promise<void> {
  const { job, owner, journal, source, target } = context;
  if (owner.generation === 1) return;
  const databases = await context.currentDatabases();
  // A copy may resume under its former leader's snapshot. It ends that session afterwards.
  const spareSnapshotsIn = databases.filter(({ phase }) => phase === "copying").map(({ name }) => name);
  const end = async (side: Side, which: SessionSelection = {}): Promise<void> => {
    for (const { message, level } of await endEarlierSessionsOn(side, owner, which))
      await journal.event(message, { level });
  };
  await end({ name: "target", endpoint: target, database: job.maintenanceDatabase });
  await end({ name: "source", endpoint: source, database: databases[0]!.name }, { spareSnapshotsIn });
}
