import { formatBytes } from "../units/byte-size.js";
import { formatDuration } from "../units/duration.js";
import type { ComparisonProgress, DatabaseDetails, IndexBuild, OnlineVerification, WayBackStatus } from "../status.js";

/**
 * What is known of a database's work beyond numbers of tables and rows, a fact each, for command and page alike: indexes in
 * hand, a comparison that runs, a stream that is followed. Empty where there is none of them.
 */
export function databaseFacts(one: DatabaseDetails): string[] {
  const hasStream = one.migrationOperation === "following" || one.migrationOperation === "finishing";
  const isFollowed = hasStream && one.migrationState !== "Failed";
  return [
    ...workFacts(one),
    ...(isFollowed ? lagFacts(one) : []),
    ...(hasStream ? walFact(one) : []),
    ...verificationFact(one.verification),
    ...wayBackFact(one.wayBack),
  ];
}

/** What takes long and shows in no number of tables. */
export function workFacts({ indexBuilds = [], comparison }: DatabaseDetails): string[] {
  return [...indexBuilds.map(buildFact), ...(comparison ? [comparisonFact(comparison)] : [])];
}

function buildFact({ index, table, seconds, phase, percent }: IndexBuild): string {
  const share = percent === undefined ? "" : ` ${percent} %`;
  return `building ${index} of ${table} for ${formatDuration(seconds)}${phase === undefined ? "" : ` (${phase}${share})`}`;
}

const comparisonFact = ({ bytesCompared, bytesTotal, secondsLeft }: ComparisonProgress): string =>
  `compared ${formatBytes(bytesCompared)} of ${formatBytes(bytesTotal)}, about ${formatDuration(secondsLeft)} left`;

function lagFacts(one: DatabaseDetails): string[] {
  const rates = [
    [one.insertsPerSecond, "inserts"],
    [one.updatesPerSecond, "updates"],
    [one.deletesPerSecond, "deletes"],
  ] as const;
  const { secondsToCatchUp } = one;
  return [
    `behind ${formatBytes(one.lagBytes)}, ${one.latencySeconds.toFixed(1)} s, ${one.pendingTransactions} transactions pending`,
    rates.map(([rate, what]) => `${Math.round(rate)} ${what}/s`).join(", "),
    ...(secondsToCatchUp === undefined || secondsToCatchUp < 1
      ? []
      : [`caught up in about ${formatDuration(secondsToCatchUp)}`]),
  ];
}

/** Kept for the next try, too, of one that has failed. */
function walFact({ retainedWalBytes: retained, retainedWalLimitBytes: limit }: DatabaseDetails): string[] {
  if (retained === undefined) return [];
  return [`WAL kept on the source: ${formatBytes(retained)}${limit === undefined ? "" : ` of ${formatBytes(limit)}`}`];
}

function verificationFact(verification: OnlineVerification | undefined): string[] {
  if (!verification) return [];
  const { state, requestedBy, tablesCompared, tablesDifferent = 0 } = verification;
  const counted = tablesCompared === undefined ? "" : `, ${tablesDifferent} of ${tablesCompared} tables differ`;
  return [`verification (${requestedBy}): ${state}${counted}`];
}

function wayBackFact(wayBack: WayBackStatus | undefined): string[] {
  if (!wayBack) return [];
  const { state, latencySeconds, lagBytes, message } = wayBack;
  const lag = latencySeconds === undefined ? "" : `, ${latencySeconds.toFixed(1)} s`;
  const bytes = lagBytes === undefined ? "" : `, ${formatBytes(lagBytes)} behind`;
  return [`way back: ${state}${bytes}${lag}${message === undefined ? "" : `: ${message}`}`];
}
