import pg from "pg";
import { Refused, messageOf } from "../errors.js";
import { connect, type Endpoint } from "../postgres/connect.js";
import { isConnectionLoss } from "../postgres/connection-loss.js";
import { endEarlierSessions, type WhichSessions } from "./earlier-sessions.js";
import type { RunContext } from "./run-context.js";

interface Side {
  readonly name: "source" | "target";
  readonly endpoint: Endpoint;
  readonly database: string;
}

/**
 * Ends what earlier workers have left open: they hold locks and snapshots that this one would wait for. Where that cannot be,
 * it does wait.
 */
export async function takeOver(context: RunContext): Promise<void> {
  const { job, bearer, source, target } = context;
  if (bearer.generation === 1) return;
  const databases = await context.currentDatabases();
  // A copy may go on under the snapshot that its former leader keeps, and ends it then.
  const spareSnapshotsIn = databases.filter(({ phase }) => phase === "copying").map(({ name }) => name);
  await endSessions(context, { name: "target", endpoint: target, database: job.maintenanceDatabase }, {});
  await endSessions(context, { name: "source", endpoint: source, database: databases[0]!.name }, { spareSnapshotsIn });
}

async function endSessions(
  { bearer, journal }: RunContext,
  { name: side, endpoint, database }: Side,
  which: WhichSessions,
): Promise<void> {
  try {
    const session = await connect(endpoint, { database, purpose: `${bearer.migration} take over` });
    const { ended, refused } = await endEarlierSessions(session, bearer, which).finally(() => session.end());
    if (ended > 0) await journal.event(`sessions that an earlier worker had left on the ${side} were ended: ${ended}`);
    if (refused.length > 0)
      await journal.event(`an earlier worker's sessions on the ${side} go on: ${refused.join("; ")}`, {
        level: "warning",
      });
  } catch (error) {
    if (!(error instanceof Refused || error instanceof pg.DatabaseError || isConnectionLoss(error))) throw error;
    const why = messageOf(error);
    await journal.event(`an earlier worker's sessions on the ${side} cannot be looked for: ${why}`, {
      level: "warning",
    });
  }
}
