import type { Client } from "pg";
import { Refused, Unreachable } from "../errors.js";
import { formatLsn } from "../postgres/lsn.js";
import type { Progress, SlotIdentity } from "./progress.js";
import { inspectSlot } from "./slot-state.js";

/** Which server a walsender session is on. */
export async function identifySystem(session: Client): Promise<Pick<SlotIdentity, "systemIdentifier" | "timeline">> {
  const { rows } = await session.query<{ systemid: string; timeline: number | string }>("IDENTIFY_SYSTEM");
  // The timeline is an int8 from 16 on, which pg answers as text.
  return { systemIdentifier: rows[0]!.systemid, timeline: Number(rows[0]!.timeline) };
}

/**
 * Checks before streaming that the slot is the one that this progress began with, and still has all that is missing: a
 * slot made anew under the old name, or one on a promoted standby, would leave a gap that nobody sees.
 *
 * @throws Refused when it is not; only a new copy helps then
 * @throws Unreachable while the source is a standby
 */
export async function verifySlotIdentity(source: Client, session: Client, progress: Progress): Promise<void> {
  const refuse = (what: string): Refused =>
    new Refused(`changes have been lost between slot ${progress.slot} and the target: ${what}`, {
      remedy: "delete this migration and start it anew: a gap cannot be filled from the slot",
      code: "603120",
    });
  await refuseStandby(source);
  const state = await inspectSlot(source, progress.slot);
  if (!state) throw refuse("the slot is gone; it was dropped, or lost in a failover");
  const { systemIdentifier, timeline } = await identifySystem(session);
  if (systemIdentifier !== progress.systemIdentifier)
    throw refuse(
      `the source is another server (system identifier ${systemIdentifier}, not ${progress.systemIdentifier})`,
    );
  if (timeline !== progress.timeline)
    throw refuse(`the source was promoted or restored (timeline ${timeline}, not ${progress.timeline})`);
  if (state.walStatus === "lost")
    throw refuse("the source has removed WAL that the slot needs (max_slot_wal_keep_size)");
  // Nothing is ever confirmed that is not durable in the progress row, so our own slot is never ahead of it.
  if (state.confirmedFlushLsn !== undefined && state.confirmedFlushLsn > progress.throughLsn)
    throw refuse(
      `the slot begins at ${formatLsn(state.confirmedFlushLsn)}, beyond the ${formatLsn(progress.throughLsn)} that the ` +
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
