import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { CanceledError, RefusedError, TimeoutError, messageOf } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { type Lsn, parseLsn } from "../../postgres/lsn.js";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import { serverVersion } from "../../postgres/server-version.js";
import {
  type BlockingSession,
  blockingSessions,
  describeBlockers,
  endingStatement,
} from "../../postgres/locks/blocking-sessions.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { dropSlot } from "./drop-slot.js";
import { currentLsn } from "./lag.js";
import type { StreamRoles } from "../model/stream-roles.js";
import type { SlotIdentity } from "../target/progress.js";
import { identifySystem } from "./slot-identity.js";

export type OutputPlugin = "pgoutput" | "test_decoding";

export interface SlotOptions {
  readonly source: Endpoint;
  readonly database: string;
  readonly slot: string;
  /** pgoutput from PostgreSQL 10 on; test_decoding is what 9.4 to 9.6 have. */
  readonly plugin: OutputPlugin;
  /** What the server is called in messages. */
  readonly publisher?: StreamRoles["publisher"];
  /**
   * Called every second while older transactions are open; the slot begins when the last of them has ended, and so not
   * before `reached`, where the source's WAL was before they were seen.
   */
  readonly onWaiting?: (sessions: readonly BlockingSession[], reached: Lsn) => void;
  /** How long to wait for them; for ever by default. */
  readonly timeoutSeconds?: number;
  readonly signal?: AbortSignal;
}

/** A slot with the snapshot of the database at its consistent point. */
export interface CreatedSlot extends SlotIdentity {
  /** For SET TRANSACTION SNAPSHOT in other sessions of the database, until release. */
  readonly snapshotId: string;
  /** Ends the session that holds the snapshot. The slot stays. */
  readonly release: () => Promise<void>;
}

/** A place in the source's history at which its content can be read. */
export interface ComparisonPoint {
  /** The snapshot shows all that committed at or before, and nothing after. */
  readonly lsn: Lsn;
  readonly snapshotId: string;
  readonly release: () => Promise<void>;
}

/**
 * Creates a logical slot and exports the snapshot of its consistent point: a copy under that snapshot and the slot's
 * stream together are the database, with nothing twice and nothing missing.
 *
 * @throws RefusedError when the source is not able or willing to (wal_level, max_replication_slots, privileges, name taken)
 * @throws TimeoutError naming the sessions whose transactions were waited for
 */
export async function createSlot(options: SlotOptions): Promise<CreatedSlot> {
  return create(options, false);
}

/**
 * Makes a place for an exact comparison, with a temporary slot that goes with its session. Hold the follower before, so
 * that it has not applied what committed later: `hold`, this, `drainTo(lsn)`, open the target's snapshot, `resume`.
 *
 * @throws as {@link createSlot}
 */
export async function createComparisonPoint(options: SlotOptions): Promise<ComparisonPoint> {
  const { consistentPoint, snapshotId, release } = await create(options, true);
  return { lsn: consistentPoint, snapshotId, release };
}

async function create(options: SlotOptions, temporary: boolean): Promise<CreatedSlot> {
  const { source, database, slot } = options;
  const session = await connect(source, { database, purpose: "slot", replication: true });
  let observer: Client | undefined;
  try {
    observer = await connect(source, { database, purpose: "slot observer" });
    // TEMPORARY came with 10; before, the slot is dropped on release, or by who takes the next point after a killed process.
    const goesWithSession = temporary && (await serverVersion(observer)) >= 100000;
    if (temporary) await dropSlot(source, database, slot);
    const system = await identifySystem(session);
    // Exporting the snapshot is the default in every version; the word for it differs.
    const command = `CREATE_REPLICATION_SLOT ${quoteIdentifier(slot)}${goesWithSession ? " TEMPORARY" : ""} LOGICAL ${options.plugin}`;
    const created = session.query<{ consistent_point: string; snapshot_name: string }>(command);
    const { rows } = await watched(created, session, observer, options);
    return {
      slot,
      consistentPoint: parseLsn(rows[0]!.consistent_point),
      snapshotId: rows[0]!.snapshot_name,
      ...system,
      release: async () => {
        await session.end();
        if (temporary && !goesWithSession) await dropSlot(source, database, slot);
      },
    };
  } catch (cause) {
    await session.end();
    throw slotFailure(cause, options);
  } finally {
    await observer?.end();
  }
}

/** Waits for the slot, tells who holds it up, and ends the attempt on the server when the time is over. */
async function watched<Result>(
  created: Promise<Result>,
  session: Client,
  observer: Client,
  { slot, publisher = "source", onWaiting, timeoutSeconds, signal }: SlotOptions,
): Promise<Result> {
  const startedAt = Date.now();
  const done = created.then(
    () => true,
    () => true,
  );
  for (;;) {
    if (await Promise.race([done, sleep(1000, false)])) return created;
    const reached = await currentLsn(observer);
    const sessions = await blockingSessions(observer, processIdOf(session));
    if (sessions.length > 0) onWaiting?.(sessions, reached);
    const waitedSeconds = (Date.now() - startedAt) / 1000;
    const late = timeoutSeconds !== undefined && waitedSeconds >= timeoutSeconds;
    if (!late && !signal?.aborted) continue;
    // A walsender that waits for a lock does not notice a closed socket: without this it would make the slot later.
    await observer.query("SELECT pg_catalog.pg_terminate_backend($1)", [processIdOf(session)]);
    await done;
    if (signal?.aborted) throw new CanceledError(`creating slot ${slot} was given up`);
    throw new TimeoutError(
      `slot ${slot} could not begin within ${timeoutSeconds ?? 0} s: ${describeBlockers(sessions)}`,
      {
        remedy: `end these transactions on the ${publisher}: ${sessions.map(endingStatement).join("; ") || "see pg_locks"}; then try again`,
      },
    );
  }
}

const processIdOf = (client: Client): number => (client as unknown as { processID: number }).processID;

function slotFailure(cause: unknown, { slot, database, publisher = "source" }: SlotOptions): unknown {
  const refuse = (remedy: string): RefusedError =>
    new RefusedError(`the ${publisher} cannot create slot ${slot} in ${database} (${messageOf(cause)})`, {
      remedy,
      code: "603101",
      cause,
    });
  switch (sqlStateOf(cause)) {
    case sqlStates.duplicateObject:
      return refuse(`drop it if nothing needs it: SELECT pg_drop_replication_slot('${slot}')`);
    case sqlStates.configurationLimitExceeded:
      return refuse(
        `drop slots of the ${publisher} that nothing needs (see pg_replication_slots), or raise max_replication_slots and restart it: a migration takes one for each database, and one more for comparisons`,
      );
    case sqlStates.objectNotInPrerequisiteState:
      return refuse(`set wal_level = logical on the ${publisher} and restart it`);
    case sqlStates.insufficientPrivilege:
      return refuse("give the role REPLICATION: ALTER ROLE <role> REPLICATION");
    default:
      return cause;
  }
}
