import type { Client } from "pg";
import { RefusedError, UnreachableError, messageOf } from "../../errors.js";
import { detectPlatform } from "../../platforms/detect-platform.js";
import { parameterCommands, type Platform } from "../../platforms/platform.js";
import { formatLsn, type Lsn } from "../../postgres/lsn.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { withoutIdleTimeout } from "./idle-slot.js";
import { currentLsn } from "./lag.js";
import type { StreamRoles } from "../model/stream-roles.js";
import type { Progress, SlotIdentity } from "../target/progress.js";
import { type SlotState, inspectSlot } from "./slot-state.js";

/** Identifies the server of a walsender session. */
export async function identifySystem(session: Client): Promise<Pick<SlotIdentity, "systemIdentifier" | "timeline">> {
  const { rows } = await session.query<{ systemid: string; timeline: number | string }>("IDENTIFY_SYSTEM");
  // From 16 on, the timeline is an int8, which pg returns as text.
  return { systemIdentifier: rows[0]!.systemid, timeline: Number(rows[0]!.timeline) };
}

/** The slot of a stream, and the names of its servers in messages. */
export interface StreamSlot {
  readonly name: string;
  readonly parts: StreamRoles;
}

const remedies: Readonly<Record<StreamRoles["stream"], string>> = {
  migration: "delete this migration and start it again: the slot does not have the missing changes",
  "rollback replication":
    "set rollback to drop: the slot does not have the missing changes, and the source does not get them",
};

/** The remedy if the source lacks the slot or a publication. */
export const copyAgain = "run pulumi up, which copies the database again";

/** The stream cannot continue. The remedy is a new copy, or the end of the rollback replication. */
export const changesLost = (
  { name, parts: { subscriber, stream } }: StreamSlot,
  what: string,
  remedy = remedies[stream],
): RefusedError =>
  new RefusedError(`changes between slot ${name} and the ${subscriber} are lost: ${what}`, { remedy, code: "PGM-501" });

/** The next update finds that the slot is missing, and copies the database again. */
const slotMissing = (slot: StreamSlot): RefusedError =>
  changesLost(
    slot,
    "the slot does not exist. It was dropped, or lost in a failover",
    slot.parts.stream === "migration" ? copyAgain : undefined,
  );

/**
 * The error for a slot that its server invalidated.
 *
 * @param options.platform that of the slot's server
 * @param options.isCopied the initial copy is not complete: the next attempt copies the database again
 */
export function slotLost(
  { name, parts: { publisher, subscriber, stream } }: StreamSlot,
  { invalidationReason }: Pick<SlotState, "invalidationReason">,
  { platform, isCopied = false }: { readonly platform: Platform; readonly isCopied?: boolean | undefined },
): RefusedError {
  const isIdle = invalidationReason === "idle_timeout";
  const why = isIdle
    ? `the ${publisher} invalidated the slot, because no session read it for longer than idle_replication_slot_timeout`
    : `the ${publisher} removed WAL that the slot needs (max_slot_wal_keep_size)`;
  const beforehand = isIdle ? withoutIdleTimeout(publisher, platform) : withoutKeepSize(publisher, platform);
  const afterwards = isCopied ? `then ${copyAgain}` : `then ${remedies[stream]}`;
  return new RefusedError(`changes between slot ${name} and the ${subscriber} are lost: ${why}`, {
    remedy: `${beforehand}; ${afterwards}`,
    code: "PGM-501",
  });
}

/** The remedy against the removal of WAL that a slot needs. */
const withoutKeepSize = (side: StreamRoles["publisher"], platform: Platform): string =>
  `on the ${side}, while its disk has free space (maxRetainedWal limits it): ${parameterCommands(platform, [{ name: "max_slot_wal_keep_size", value: "-1" }])}`;

/** The name of a WAL file in an error message of any language. */
const walSegment = /[0-9A-F]{24}/;

/** Converts the error of a missing WAL file, which means lost changes. Other errors are returned unchanged. */
export function asWalRemoved<Failure>(slot: StreamSlot, failure: Failure): Failure | RefusedError {
  const message = messageOf(failure);
  if (sqlStateOf(failure) !== sqlStates.undefinedFile || !walSegment.test(message)) return failure;
  return changesLost(slot, `the ${slot.parts.publisher} no longer has the WAL that the slot needs (${message})`);
}

/**
 * Checks before streaming that the slot is the one with which this progress began, and that it has all missing changes. A
 * slot that was recreated under the same name, or a slot on a promoted standby, would silently leave a gap.
 *
 * @throws RefusedError if it is another slot, or changes are missing
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
  // The server would send no commits until its WAL reaches this position again.
  const end = await currentLsn(source);
  if (end < appliedThroughLsn)
    throw changesLost(
      slot,
      `the WAL of the ${publisher} ends at ${formatLsn(end)}, but the ${subscriber} has changes up to ${formatLsn(appliedThroughLsn)}. ` +
        `The ${publisher} was restored to an earlier state`,
    );
}

/**
 * Checks that the slot has all changes after the subscriber's position. The result is reliable only while a session of the
 * migration uses the slot: otherwise another session may drop or advance it.
 *
 * @param appliedThroughLsn called after the slot was read, because changes applied and confirmed meanwhile advance the slot
 * @returns the slot's confirmed position; undefined before 9.6
 * @throws RefusedError if changes are missing
 */
export async function verifySlotPlace(
  source: Client,
  slot: StreamSlot,
  appliedThroughLsn: () => Lsn,
): Promise<Lsn | undefined> {
  const state = await inspectSlot(source, slot.name);
  if (!state) throw slotMissing(slot);
  if (state.walStatus === "lost") throw slotLost(slot, state, { platform: await detectPlatform(source) });
  const { confirmedFlushLsn } = state;
  if (confirmedFlushLsn !== undefined) assertSlotNotAhead(slot, confirmedFlushLsn, appliedThroughLsn());
  return confirmedFlushLsn;
}

/** Only LSNs that are durable in the progress row are confirmed, so the stream's own slot is never ahead of it. */
export function assertSlotNotAhead(slot: StreamSlot, beginsAt: Lsn, appliedThroughLsn: Lsn): void {
  if (beginsAt <= appliedThroughLsn) return;
  throw changesLost(
    slot,
    `the slot begins at ${formatLsn(beginsAt)}, but the ${slot.parts.subscriber} has changes only up to ` +
      `${formatLsn(appliedThroughLsn)}. The slot was recreated or advanced by another session, or the ` +
      `${slot.parts.subscriber} was restored to an earlier state`,
  );
}

/** During a failover, an address may lead to a standby. It is promoted soon, or the address changes. */
async function refuseStandby(source: Client, publisher: StreamRoles["publisher"]): Promise<void> {
  const { rows } = await source.query<{ standby: boolean }>("SELECT pg_catalog.pg_is_in_recovery() AS standby");
  if (rows[0]!.standby)
    throw new UnreachableError(`the ${publisher} is a standby, which does not have the slot`, {
      remedy: `change the address of the ${publisher} to the primary server that has the slot`,
    });
}
