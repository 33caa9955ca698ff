import type { Client } from "pg";
import { Refused, Unreachable } from "../errors.js";
import { formatLsn, type Lsn } from "../postgres/lsn.js";
import { currentLsn } from "./lag.js";
import type { Progress, SlotIdentity } from "./progress.js";
import { type SlotState, inspectSlot } from "./slot-state.js";

/** Which server a walsender session is on. */
export async function identifySystem(session: Client): Promise<Pick<SlotIdentity, "systemIdentifier" | "timeline">> {
  const { rows } = await session.query<{ systemid: string; timeline: number | string }>("IDENTIFY_SYSTEM");
  // The timeline is an int8 from 16 on, which pg answers as text.
  return { systemIdentifier: rows[0]!.systemid, timeline: Number(rows[0]!.timeline) };
}

/** Only a new copy helps then. */
export const changesLost = (slot: string, what: string, beforehand = ""): Refused =>
  new Refused(`changes have been lost between slot ${slot} and the target: ${what}`, {
    remedy: `${beforehand}delete this migration and start it anew: a gap cannot be filled from the slot`,
    code: "603120",
  });

/** Of a slot that its server has given up by itself. */
export function slotLost(slot: string, { invalidationReason }: Pick<SlotState, "invalidationReason">): Refused {
  if (invalidationReason !== "idle_timeout")
    return changesLost(slot, "the source has removed WAL that the slot needs (max_slot_wal_keep_size)");
  return changesLost(
    slot,
    "the source has given the slot up, since nobody has read it for longer than idle_replication_slot_timeout",
    "set idle_replication_slot_timeout to 0 on the source, then ",
  );
}

/**
 * Checks before streaming that the slot is the one that this progress began with, and still has all that is missing: a
 * slot made anew under the old name, or one on a promoted standby, would leave a gap that nobody sees.
 *
 * @throws Refused when it is not
 * @throws Unreachable while the source is a standby
 */
export async function verifySlotIdentity(source: Client, session: Client, progress: Progress): Promise<void> {
  const { slot, throughLsn } = progress;
  await refuseStandby(source);
  await verifySlotPlace(source, slot, () => throughLsn);
  const { systemIdentifier, timeline } = await identifySystem(session);
  if (systemIdentifier !== progress.systemIdentifier)
    throw changesLost(
      slot,
      `the source is another server (system identifier ${systemIdentifier}, not ${progress.systemIdentifier})`,
    );
  if (timeline !== progress.timeline)
    throw changesLost(slot, `the source was promoted or restored (timeline ${timeline}, not ${progress.timeline})`);
  // It would send nothing that commits before its WAL has come there once more.
  const end = await currentLsn(source);
  if (end < throughLsn)
    throw changesLost(
      slot,
      `the source's WAL ends at ${formatLsn(end)}, before the ${formatLsn(throughLsn)} that the target has; ` +
        "the source was put back to an earlier state",
    );
}

/**
 * Checks that the slot still has all that is behind what the target has. What is seen stays so only once a session of
 * ours has the slot: before that, anybody may drop it or move it on.
 *
 * @param throughLsn asked when the slot has been seen: what is applied and confirmed meanwhile moves it on
 * @returns where it was confirmed; undefined before 9.6, which does not tell
 * @throws Refused when it has not
 */
export async function verifySlotPlace(source: Client, slot: string, throughLsn: () => Lsn): Promise<Lsn | undefined> {
  const state = await inspectSlot(source, slot);
  if (!state) throw changesLost(slot, "the slot is gone; it was dropped, or lost in a failover");
  if (state.walStatus === "lost") throw slotLost(slot, state);
  const { confirmedFlushLsn } = state;
  if (confirmedFlushLsn !== undefined) requireBehind(slot, confirmedFlushLsn, throughLsn());
  return confirmedFlushLsn;
}

/** Nothing is ever confirmed that is not durable in the progress row, so our own slot is never ahead of it. */
export function requireBehind(slot: string, beginsAt: Lsn, throughLsn: Lsn): void {
  if (beginsAt <= throughLsn) return;
  throw changesLost(
    slot,
    `the slot begins at ${formatLsn(beginsAt)}, beyond the ${formatLsn(throughLsn)} that the ` +
      "target has; it was dropped and made anew, or advanced by somebody else",
  );
}

/** In the middle of a failover an address may lead to a standby: it is promoted soon, or the address leads elsewhere. */
async function refuseStandby(source: Client): Promise<void> {
  const { rows } = await source.query<{ standby: boolean }>("SELECT pg_catalog.pg_is_in_recovery() AS standby");
  if (rows[0]!.standby)
    throw new Unreachable("the source is a standby at present, which has no stream of its own", {
      remedy: "let the source's address lead to the primary that the slot is on",
    });
}
