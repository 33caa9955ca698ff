import { endEarlierSessionsOn, type Side, type WhichSessions } from "../cleanup/earlier-sessions.js";
import type { RunContext } from "../context/run-context.js";

/**
 * Ends what earlier workers have left open: they hold locks and snapshots that this one would wait for. Where that
 * cannot be, it does wait.
 */
export async function takeOver(context: RunContext): Promise<void> {
  const { job, bearer, journal, source, target } = context;
  if (bearer.generation === 1) return;
  const databases = await context.currentDatabases();
  // A copy may go on under the snapshot that its former leader keeps, and ends it then.
  const spareSnapshotsIn = databases.filter(({ phase }) => phase === "copying").map(({ name }) => name);
  const end = async (side: Side, which: WhichSessions = {}): Promise<void> => {
    for (const { message, level } of await endEarlierSessionsOn(side, bearer, which))
      await journal.event(message, { level });
  };
  await end({ name: "target", endpoint: target, database: job.maintenanceDatabase });
  await end({ name: "source", endpoint: source, database: databases[0]!.name }, { spareSnapshotsIn });
}
