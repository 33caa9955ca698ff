import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { CanceledError, RefusedError, TimeoutError, messageOf } from "../../errors.js";
import { detectPlatform } from "../../platforms/detect-platform.js";
import { parameterCommands } from "../../platforms/platform.js";
import { connect } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { type Lsn, parseLsn } from "../../postgres/lsn.js";
import { processIdOf } from "../../postgres/connection/session.js";
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
  /** pgoutput from PostgreSQL 10 on; test_decoding for 9.4 to 9.6. */
  readonly plugin: OutputPlugin;
  /** The server's name in messages. */
  readonly publisher?: StreamRoles["publisher"];
  /**
   * Called every second while the slot waits for older transactions. The slot begins when the last of them has ended, so its
   * start is after `reached`. That is the end of the source's WAL before the sessions were listed.
   */
  readonly onWaiting?: (sessions: readonly BlockingSession[], reached: Lsn) => void;
  /** How long to wait for these transactions; by default without a limit. */
  readonly timeoutSeconds?: number;
  readonly signal?: AbortSignal;
}

/** A slot with the snapshot of the database at its consistent point. */
export interface CreatedSlot extends SlotIdentity {
  /** For SET TRANSACTION SNAPSHOT in other sessions of the database; valid until `release`. */
  readonly snapshotId: string;
  /** Ends the session that holds the snapshot. The slot remains. */
  readonly release: () => Promise<void>;
}

/** An LSN of the source with a snapshot of its content. */
export interface ComparisonPoint {
  /** The snapshot contains everything that committed at or before this LSN, and nothing after it. */
  readonly lsn: Lsn;
  readonly snapshotId: string;
  readonly release: () => Promise<void>;
}

/**
 * Creates a logical slot and exports the snapshot of its consistent point. A copy in that snapshot and the slot's stream
 * together contain every change exactly once.
 *
 * @throws RefusedError if the source refuses (wal_level, max_replication_slots, privileges, name in use)
 * @throws TimeoutError naming the sessions whose transactions did not end
 */
export async function createSlot(options: SlotOptions): Promise<CreatedSlot> {
  return create(options, false);
}

/**
 * Creates a snapshot for an exact comparison, with a temporary slot. Hold the follower before, so that it does not apply later
 * commits: call `hold`, this function, and `drainTo(lsn)`, open the target's snapshot, then call `resume`.
 *
 * @throws the errors of {@link createSlot}
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
    // Before 10 there are no temporary slots. The slot is dropped by `release`, or after a crash by the next call.
    const endsWithSession = temporary && (await serverVersion(observer)) >= 100000;
    if (temporary) await dropSlot(source, database, slot);
    const system = await identifySystem(session);
    // Exporting the snapshot is the default in every version, but the option's syntax differs.
    const command = `CREATE_REPLICATION_SLOT ${quoteIdentifier(slot)}${endsWithSession ? " TEMPORARY" : ""} LOGICAL ${options.plugin}`;
    const created = session.query<{ consistent_point: string; snapshot_name: string }>(command);
    const { rows } = await watched(created, session, observer, options);
    return {
      slot,
      consistentPoint: parseLsn(rows[0]!.consistent_point),
      snapshotId: rows[0]!.snapshot_name,
      ...system,
      release: async () => {
        await session.end();
        if (temporary && !endsWithSession) await dropSlot(source, database, slot);
      },
    };
  } catch (cause) {
    await session.end();
    throw observer ? await slotFailure(cause, options, observer) : cause;
  } finally {
    await observer?.end();
  }
}

/** Waits for the slot, reports the sessions that delay it, and terminates the attempt on the server after the timeout. */
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
    const isTimedOut = timeoutSeconds !== undefined && waitedSeconds >= timeoutSeconds;
    if (!isTimedOut && !signal?.aborted) continue;
    // A walsender that waits for a lock does not notice a closed socket. It would create the slot later.
    await observer.query("SELECT pg_catalog.pg_terminate_backend($1)", [processIdOf(session)]);
    await done;
    if (signal?.aborted) throw new CanceledError(`creating slot ${slot} was canceled`);
    throw new TimeoutError(
      `slot ${slot} could not be created within ${timeoutSeconds ?? 0} s: ${describeBlockers(sessions)}`,
      {
        remedy: `end these transactions on the ${publisher}: ${sessions.map(endingStatement).join("; ") || "see pg_locks"}; then run pulumi up again`,
      },
    );
  }
}

async function slotFailure(cause: unknown, options: SlotOptions, observer: Client): Promise<unknown> {
  const { source, database, slot, publisher = "source" } = options;
  const refuse = (remedy: string): RefusedError =>
    new RefusedError(`the ${publisher} cannot create slot ${slot} in ${database} (${messageOf(cause)})`, {
      remedy,
      code: "603105",
      cause,
    });
  const set = async (name: string, value: string): Promise<string> =>
    parameterCommands(await detectPlatform(observer), [{ name, value }]);
  switch (sqlStateOf(cause)) {
    case sqlStates.duplicateObject:
      return refuse(`drop the slot if it is not in use: SELECT pg_drop_replication_slot('${slot}')`);
    case sqlStates.configurationLimitExceeded:
      return refuse(
        `drop unused slots of the ${publisher} (see pg_replication_slots), or add one slot for each database, and one for comparisons: ` +
          (await set("max_replication_slots", "<number of slots>")),
      );
    case sqlStates.objectNotInPrerequisiteState:
      return refuse(`on the ${publisher}: ${await set("wal_level", "logical")}`);
    case sqlStates.insufficientPrivilege:
      return refuse((await detectPlatform(observer)).grantReplication(quoteIdentifier(source.user)));
    default:
      return cause;
  }
}
