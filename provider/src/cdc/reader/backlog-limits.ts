/** When and how a backlog is read in portions. */
export interface BacklogLimits {
  /** A stream that is further behind the end of the source's WAL reads the backlog in portions. */
  readonly behindBytes: number;
  /** The minimum WAL that one portion covers. */
  readonly portionBytes: number;
  /** The maximum size of received messages that wait: enough work for the target while the next portion is decoded. */
  readonly aheadBytes: number;
  /** If at most this much of the backlog remains, a walsender reads it. */
  readonly restBytes: number;
  /** The maximum WAL from which one portion is decoded. It limits the size of the portion's file on the source. */
  readonly spanBytes: number;
  /** How often the stream's slot is advanced. It is not advanced after every portion, because that reads the WAL again. */
  readonly advanceEveryMs: number;
  /** The maximum pause within a portion. Its unfinished statement holds back the source's vacuum meanwhile. */
  readonly longestPauseMs: number;
  /** The maximum wait for a portion, even if its session is alive. */
  readonly longestSilenceMs: number;
}

export const backlogLimits: BacklogLimits = {
  behindBytes: 16 << 20,
  portionBytes: 8 << 20,
  aheadBytes: 8 << 20,
  restBytes: 1 << 20,
  spanBytes: 1 << 30,
  advanceEveryMs: 5000,
  longestPauseMs: 60_000,
  longestSilenceMs: 600_000,
};

/**
 * The first minor releases in which pg_replication_slot_advance keeps the catalogue rows that a slot still needs ("fast
 * forward" in the release notes of 17.5). All of these versions can copy slots.
 */
const firstSoundMinors: Readonly<Record<number, number>> = { 13: 21, 14: 18, 15: 13, 16: 9, 17: 5 };
const firstSoundMajor = 18;

/** @param version server_version_num */
export function canAdvanceCopiedSlots(version: number): boolean {
  const major = Math.floor(version / 10_000);
  return major >= firstSoundMajor || version % 10_000 >= (firstSoundMinors[major] ?? Infinity);
}

/**
 * One portion should keep the target busy while the source decodes the next one. For each portion, the source decodes the WAL
 * from the slot's restart_lsn again.
 */
const portionGrowth = 2;
/** After this number of empty portions, one large transaction is likely. Every portion would decode it again. */
const maxEmptyPortions = 2;
const largeSpanPortions = 4;

/** A position of the reader's slot. */
export interface PortionStart {
  /** WAL from the slot's restart_lsn to its confirmed position. Every portion decodes it again. */
  readonly spanBytes: number;
  /** The number of portions without a message before this one. */
  readonly emptyPortions: number;
}

/** Whether a transaction is so large that the source would write it to a file for each portion. */
export const isInLargeTransaction = ({ spanBytes, emptyPortions }: PortionStart, limits: BacklogLimits): boolean =>
  (emptyPortions >= maxEmptyPortions && spanBytes > largeSpanPortions * limits.portionBytes) ||
  spanBytes > limits.spanBytes / 2;

/** The WAL of the next portion: at least as much as is decoded again. The first portions grow faster. */
export function nextPortionBytes({ spanBytes, emptyPortions }: PortionStart, { portionBytes }: BacklogLimits): number {
  const growth = emptyPortions > 0 ? 1 : portionGrowth;
  return Math.max(portionBytes, Math.min(growth * spanBytes, growth * portionBytes), spanBytes);
}
