import type { Client } from "pg";
import { RefusedError, UnreachableError, messageOf } from "../../errors.js";
import { formatLsn, type Lsn } from "../../postgres/lsn.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { withoutIdleTimeout } from "./idle-slot.js";
import { currentLsn } from "./lag.js";
import type { StreamRoles } from "../model/stream-roles.js";
import type { Progress, SlotIdentity } from "../target/progress.js";
import { type SlotState, inspectSlot } from "./slot-state.js";

/** Which server a walsender session is on. */
export async function identifySystem(session: Client): Promise<Pick<SlotIdentity, "systemIdentifier" | "timeline">> {
  const { rows } = await session.query<{ systemid: string; timeline: number | string }>("IDENTIFY_SYSTEM");
  // The timeline is an int8 from 16 on, which pg answers as text.
  return { systemIdentifier: rows[0]!.systemid, timeline: Number(rows[0]!.timeline) };
}

/** The slot of a stream, and what its servers are called. */
export interface StreamSlot {
  readonly name: string;
  readonly parts: StreamRoles;
}

const remedies: Readonly<Record<StreamRoles["stream"], string>> = {
  migration: "delete this migration and start it anew: a gap cannot be filled from the slot",
  "way back": "set rollback to drop: a gap cannot be filled from the slot, and the source stays without these changes",
};

/** Only a new copy helps then, or to do without. */
export const changesLost = ({ name, parts: { subscriber, stream } }: StreamSlot, what: string): RefusedError =>
  new RefusedError(`changes have been lost between slot ${name} and the ${subscriber}: ${what}`, {
    remedy: remedies[stream],
    code: "603120",
  });

/**
 * Of a slot that its server has given up by itself.
 *
 * @param isCopied nothing has been read from it yet: the copy that is under way is begun anew by another try
 */
export function slotLost(
  { name, parts: { publisher, subscriber, stream } }: StreamSlot,
  { invalidationReason }: Pick<SlotState, "invalidationReason">,
  isCopied = false,
): RefusedError {
  const isIdle = invalidationReason === "idle_timeout";
  const why = isIdle
    ? `the ${publisher} has given the slot up, since nobody has read it for longer than idle_replication_slot_timeout`
    : `the ${publisher} has removed WAL that the slot needs (max_slot_wal_keep_size)`;
  const beforehand = isIdle ? withoutIdleTimeout(publisher) : withoutKeepSize(publisher);
  const afterwards = isCopied ? "then pulumi up, which copies the database anew" : `then ${remedies[stream]}`;
  return new RefusedError(`changes have been lost between slot ${name} and the ${subscriber}: ${why}`, {
    remedy: `${beforehand}; ${afterwards}`,
    code: "603120",
  });
}

/** What keeps a server from removing WAL that a slot needs. */
const withoutKeepSize = (side: StreamRoles["publisher"]): string =>
  `on the ${side}, while its disk has room (maxRetainedWal watches that): ALTER SYSTEM SET max_slot_wal_keep_size = -1; SELECT pg_reload_conf() (on RDS, Cloud SQL and Azure: its server parameter)`;

/** In whatever language a server says which file it lacks. */
const walSegment = /[0-9A-F]{24}/;

/** What reading a slot ends by: lost changes, where somebody has taken the WAL away that the slot keeps. */
export function asWalRemoved<Failure>(slot: StreamSlot, failure: Failure): Failure | RefusedError {
  const said = messageOf(failure);
  if (sqlStateOf(failure) !== sqlStates.undefinedFile || !walSegment.test(said)) return failure;
  return changesLost(slot, `the ${slot.parts.publisher} has no longer the WAL that the slot needs (${said})`);
}

/**
 * Checks before streaming that the slot is the one that this progress began with, and still has all that is missing: a
 * slot made anew under the old name, or one on a promoted standby, would leave a gap that nobody sees.
 *
 * @throws RefusedError when it is not
 * @throws UnreachableError while the server is a standby
 */
export async function verifySlotIdentity(
  source: Client,
  session: Client,
  progress: Progress,
  parts: StreamRoles,
): Promise<void> {
  const { appliedThroughLsn } = progress;
  const slot: StreamSlot = { name: progress.slot, parts };
  const { publisher, subscriber } = parts;
  await refuseStandby(source, publisher);
  await verifySlotPlace(source, slot, () => appliedThroughLsn);
  const { systemIdentifier, timeline } = await identifySystem(session);
  if (systemIdentifier !== progress.systemIdentifier)
    throw changesLost(
      slot,
      `the ${publisher} is another server (system identifier ${systemIdentifier}, not ${progress.systemIdentifier})`,
    );
  if (timeline !== progress.timeline)
    throw changesLost(
      slot,
      `the ${publisher} was promoted or restored (timeline ${timeline}, not ${progress.timeline})`,
    );
  // It would send nothing that commits before its WAL has come there once more.
  const end = await currentLsn(source);
  if (end < appliedThroughLsn)
    throw changesLost(
      slot,
      `the ${publisher}'s WAL ends at ${formatLsn(end)}, before the ${formatLsn(appliedThroughLsn)} that the ${subscriber} has; ` +
        `the ${publisher} was put back to an earlier state`,
    );
}

/**
 * Checks that the slot still has all that is behind what the subscriber has. What is seen stays so only once a session of
 * ours has the slot: before that, anybody may drop it or move it on.
 *
 * @param appliedThroughLsn asked when the slot has been seen: what is applied and confirmed meanwhile moves it on
 * @returns where it was confirmed; undefined before 9.6, which does not tell
 * @throws RefusedError when it has not
 */
export async function verifySlotPlace(
  source: Client,
  slot: StreamSlot,
  appliedThroughLsn: () => Lsn,
): Promise<Lsn | undefined> {
  const state = await inspectSlot(source, slot.name);
  if (!state) throw changesLost(slot, "the slot is gone; it was dropped, or lost in a failover");
  if (state.walStatus === "lost") throw slotLost(slot, state);
  const { confirmedFlushLsn } = state;
  if (confirmedFlushLsn !== undefined) assertSlotNotAhead(slot, confirmedFlushLsn, appliedThroughLsn());
  return confirmedFlushLsn;
}

/** Nothing is ever confirmed that is not durable in the progress row, so our own slot is never ahead of it. */
export function assertSlotNotAhead(slot: StreamSlot, beginsAt: Lsn, appliedThroughLsn: Lsn): void {
  if (beginsAt <= appliedThroughLsn) return;
  throw changesLost(
    slot,
    `the slot begins at ${formatLsn(beginsAt)}, beyond the ${formatLsn(appliedThroughLsn)} that the ` +
      `${slot.parts.subscriber} has; it was dropped and made anew, or advanced by somebody else, or the ` +
      `${slot.parts.subscriber} was put back to an earlier state`,
  );
}

/** In the middle of a failover an address may lead to a standby: it is promoted soon, or the address leads elsewhere. */
async function refuseStandby(source: Client, publisher: StreamRoles["publisher"]): Promise<void> {
  const { rows } = await source.query<{ standby: boolean }>("SELECT pg_catalog.pg_is_in_recovery() AS standby");
  if (rows[0]!.standby)
    throw new UnreachableError(`the ${publisher} is a standby at present, which has no stream of its own`, {
      remedy: `let the ${publisher}'s address lead to the primary that the slot is on`,
    });
}
