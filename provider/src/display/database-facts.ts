import { formatBytes } from "../units/byte-size.js";
import { formatDuration } from "../units/duration.js";
import type { ComparisonProgress, DatabaseDetails, IndexBuild, OnlineVerification, RollbackStatus } from "../status.js";

/**
 * Facts about a database that are not in the columns of its table, for the command and the dashboard. These are running index
 * builds and comparisons, lag, retained WAL, the last verification, and rollback replication.
 */
export function databaseFacts(one: DatabaseDetails): string[] {
  const hasStream = one.migrationOperation === "following" || one.migrationOperation === "completing";
  return [
    ...workFacts(one),
    ...lagFacts(one),
    ...(one.keptSlot === undefined ? (hasStream ? walFact(one) : []) : [one.keptSlot]),
    ...verificationFact(one.verification),
    ...rollbackFact(one.rollbackReplication),
  ];
}

/** Running index builds, and a running comparison. */
export function workFacts({ indexBuilds = [], comparison }: DatabaseDetails): string[] {
  return [...indexBuilds.map(buildFact), ...(comparison ? [comparisonFact(comparison)] : [])];
}

function buildFact({ index, table, seconds, phase, percent }: IndexBuild): string {
  const share = percent === undefined ? "" : ` ${percent} %`;
  return `building ${index} of ${table} for ${formatDuration(seconds)}${phase === undefined ? "" : ` (${phase}${share})`}`;
}

function comparisonFact({ bytesCompared, bytesTotal, secondsLeft }: ComparisonProgress): string {
  const estimate = secondsLeft === undefined ? "" : `, about ${formatDuration(secondsLeft)} left`;
  return `compared ${formatBytes(bytesCompared)} of ${formatBytes(bytesTotal)}${estimate}`;
}

function lagFacts(one: DatabaseDetails): string[] {
  if (one.lagUnknownSince !== undefined) return [`behind: unknown since ${one.lagUnknownSince}, no worker is running`];
  if (!one.isLagMeasured) return [];
  const rates = [
    [one.insertsPerSecond, "inserts"],
    [one.updatesPerSecond, "updates"],
    [one.deletesPerSecond, "deletes"],
  ] as const;
  const { secondsToCatchUp, streamWorker } = one;
  return [
    ...(streamWorker === undefined ? [] : [`changes are applied by worker ${streamWorker}`]),
    `behind ${formatBytes(one.lagBytes)}, ${one.latencySeconds.toFixed(1)} s, ${one.pendingTransactions} transactions pending`,
    rates.map(([rate, what]) => `${Math.round(rate)} ${what}/s`).join(", "),
    ...(secondsToCatchUp === undefined || secondsToCatchUp < 1
      ? []
      : [`caught up in about ${formatDuration(secondsToCatchUp)}`]),
  ];
}

/** A failed database retains its WAL for the next attempt. */
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

function rollbackFact(rollbackReplication: RollbackStatus | undefined): string[] {
  if (!rollbackReplication) return [];
  const { state, latencySeconds, lagBytes, message } = rollbackReplication;
  const lag = latencySeconds === undefined ? "" : `, ${latencySeconds.toFixed(1)} s`;
  const bytes = lagBytes === undefined ? "" : `, ${formatBytes(lagBytes)} behind`;
  return [`rollback replication: ${state}${bytes}${lag}${message === undefined ? "" : `: ${message}`}`];
}
