import type { Client } from "pg";
import { Refused, Unreachable, messageOf } from "../../errors.js";
import { formatLsn, type Lsn } from "../../postgres/lsn.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { withoutIdleTimeout } from "./idle-slot.js";
import { currentLsn } from "./lag.js";
import type { Parts } from "../parts.js";
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
  readonly parts: Parts;
}

const remedies: Readonly<Record<Parts["stream"], string>> = {
  migration: "delete this migration and start it anew: a gap cannot be filled from the slot",
  "way back": "set rollback to drop: a gap cannot be filled from the slot, and the source stays without these changes",
};

/** Only a new copy helps then, or to do without. */
export const changesLost = ({ name, parts: { receiver, stream } }: StreamSlot, what: string): Refused =>
  new Refused(`changes have been lost between slot ${name} and the ${receiver}: ${what}`, {
    remedy: remedies[stream],
    code: "603120",
  });

/**
 * Of a slot that its server has given up by itself.
 *
 * @param isCopied nothing has been read from it yet: the copy that is under way is begun anew by another try
 */
export function slotLost(
  { name, parts: { sender, receiver, stream } }: StreamSlot,
  { invalidationReason }: Pick<SlotState, "invalidationReason">,
  isCopied = false,
): Refused {
  const isIdle = invalidationReason === "idle_timeout";
  const why = isIdle
    ? `the ${sender} has given the slot up, since nobody has read it for longer than idle_replication_slot_timeout`
    : `the ${sender} has removed WAL that the slot needs (max_slot_wal_keep_size)`;
  const beforehand = isIdle ? withoutIdleTimeout(sender) : withoutKeepSize(sender);
  const afterwards = isCopied ? "then pulumi up, which copies the database anew" : `then ${remedies[stream]}`;
  return new Refused(`changes have been lost between slot ${name} and the ${receiver}: ${why}`, {
    remedy: `${beforehand}; ${afterwards}`,
    code: "603120",
  });
}

/** What keeps a server from removing WAL that a slot needs. */
const withoutKeepSize = (side: Parts["sender"]): string =>
  `on the ${side}, while its disk has room (maxRetainedWal watches that): ALTER SYSTEM SET max_slot_wal_keep_size = -1; SELECT pg_reload_conf() (on RDS, Cloud SQL and Azure: its server parameter)`;

/** In whatever language a server says which file it lacks. */
const walSegment = /[0-9A-F]{24}/;

/** What reading a slot ends by: lost changes, where somebody has taken the WAL away that the slot keeps. */
export function orWalGone<Failure>(slot: StreamSlot, failure: Failure): Failure | Refused {
  const said = messageOf(failure);
  if (sqlStateOf(failure) !== sqlStates.undefinedFile || !walSegment.test(said)) return failure;
  return changesLost(slot, `the ${slot.parts.sender} has no longer the WAL that the slot needs (${said})`);
}

/**
 * Checks before streaming that the slot is the one that this progress began with, and still has all that is missing: a
 * slot made anew under the old name, or one on a promoted standby, would leave a gap that nobody sees.
 *
 * @throws Refused when it is not
 * @throws Unreachable while the server is a standby
 */
export async function verifySlotIdentity(
  source: Client,
  session: Client,
  progress: Progress,
  parts: Parts,
): Promise<void> {
  const { throughLsn } = progress;
  const slot: StreamSlot = { name: progress.slot, parts };
  const { sender, receiver } = parts;
  await refuseStandby(source, sender);
  await verifySlotPlace(source, slot, () => throughLsn);
  const { systemIdentifier, timeline } = await identifySystem(session);
  if (systemIdentifier !== progress.systemIdentifier)
    throw changesLost(
      slot,
      `the ${sender} is another server (system identifier ${systemIdentifier}, not ${progress.systemIdentifier})`,
    );
  if (timeline !== progress.timeline)
    throw changesLost(slot, `the ${sender} was promoted or restored (timeline ${timeline}, not ${progress.timeline})`);
  // It would send nothing that commits before its WAL has come there once more.
  const end = await currentLsn(source);
  if (end < throughLsn)
    throw changesLost(
      slot,
      `the ${sender}'s WAL ends at ${formatLsn(end)}, before the ${formatLsn(throughLsn)} that the ${receiver} has; ` +
        `the ${sender} was put back to an earlier state`,
    );
}

/**
 * Checks that the slot still has all that is behind what the receiver has. What is seen stays so only once a session of
 * ours has the slot: before that, anybody may drop it or move it on.
 *
 * @param throughLsn asked when the slot has been seen: what is applied and confirmed meanwhile moves it on
 * @returns where it was confirmed; undefined before 9.6, which does not tell
 * @throws Refused when it has not
 */
export async function verifySlotPlace(
  source: Client,
  slot: StreamSlot,
  throughLsn: () => Lsn,
): Promise<Lsn | undefined> {
  const state = await inspectSlot(source, slot.name);
  if (!state) throw changesLost(slot, "the slot is gone; it was dropped, or lost in a failover");
  if (state.walStatus === "lost") throw slotLost(slot, state);
  const { confirmedFlushLsn } = state;
  if (confirmedFlushLsn !== undefined) requireBehind(slot, confirmedFlushLsn, throughLsn());
  return confirmedFlushLsn;
}

/** Nothing is ever confirmed that is not durable in the progress row, so our own slot is never ahead of it. */
export function requireBehind(slot: StreamSlot, beginsAt: Lsn, throughLsn: Lsn): void {
  if (beginsAt <= throughLsn) return;
  throw changesLost(
    slot,
    `the slot begins at ${formatLsn(beginsAt)}, beyond the ${formatLsn(throughLsn)} that the ` +
      `${slot.parts.receiver} has; it was dropped and made anew, or advanced by somebody else, or the ` +
      `${slot.parts.receiver} was put back to an earlier state`,
  );
}

/** In the middle of a failover an address may lead to a standby: it is promoted soon, or the address leads elsewhere. */
async function refuseStandby(source: Client, sender: Parts["sender"]): Promise<void> {
  const { rows } = await source.query<{ standby: boolean }>("SELECT pg_catalog.pg_is_in_recovery() AS standby");
  if (rows[0]!.standby)
    throw new Unreachable(`the ${sender} is a standby at present, which has no stream of its own`, {
      remedy: `let the ${sender}'s address lead to the primary that the slot is on`,
    });
}
