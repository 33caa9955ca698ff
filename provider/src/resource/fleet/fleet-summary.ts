import { findingGroupsTable, problemsOf } from "../../display/findings-table.js";
import { attentionRank } from "../../fleet/attention.js";
import { type FindingGroup, groupFindings } from "../../display/finding-groups.js";
import { reportedCodes } from "../../display/reported-codes.js";
import { failedDatabases, type MigrationState, type MigrationStatus } from "../../status.js";
import { formatBytes } from "../../units/byte-size.js";
import { formatDuration } from "../../units/duration.js";
import { copySeconds, defaultCopyRate } from "../summary/migration-summary.js";

/** The progress of a fleet. */
export interface FleetSummary {
  readonly total: number;
  readonly succeeded: number;
  /** Waiting for a cutover, or for another confirmation. */
  readonly waiting: number;
  /** Members whose last operation, or a database, failed. They count in no other number. */
  readonly failed: number;
  readonly canceled: number;
  /** Members that are left out, and why. Waves without members. */
  readonly problems: readonly string[];
  readonly bytesCopied: number;
  readonly rowsCopied: number;
  /** Size of all members that are measured. */
  readonly bytesTotal: number;
  /**
   * Estimated seconds until all rows are copied: `concurrency` members at a time, wave by wave, at the current rate of each
   * member, or at 50 MB/s before it has one.
   */
  readonly secondsLeft: number;
  /**
   * Failures and warnings of all members, once for each code: failures first. `members` begins with those that need you.
   */
  readonly findings: readonly FindingGroup[];
  /** Those that need you come first: failed members, then those that wait. */
  readonly migrations: readonly {
    readonly name: string;
    /** Place in the order of their start, from 1. */
    readonly position: number;
    readonly wave: number;
    /** Size of all databases; 0 before it is measured. */
    readonly bytesTotal: number;
    /** Findings of the validation. */
    readonly failures: number;
    readonly warnings: number;
    /** Estimated seconds until its rows are copied. */
    readonly secondsLeft: number;
    /** `NotCreated` if nothing is recorded: its creation failed, for example because the target did not answer. */
    readonly state: MigrationState | "NotCreated";
    readonly databases: readonly string[];
    readonly percent: number;
    /** Whether the last operation, or a database, failed. */
    readonly hasFailed: boolean;
    readonly error?: string;
  }[];
}

/** What is known of a member: its status, absent if nothing is recorded, and why the last operation failed. */
export interface KnownStatus {
  readonly status?: MigrationStatus | null | undefined;
  readonly failure?: string | null | undefined;
}

type Member = FleetSummary["migrations"][number];

interface MemberStatus extends KnownStatus {
  readonly name: string;
  readonly wave: number;
}

/** The numbers of a fleet from what is known of its members, in the order of their start. */
export function summarizeFleet(members: readonly MemberStatus[], concurrency: number): Omit<FleetSummary, "problems"> {
  const databases = members.flatMap(({ status }) =>
    status ? Object.values(status.currentSubStateDetails.dbDetails) : [],
  );
  const inOrder = members.map((member, index) => summarizeMember(member, index + 1));
  const migrations = [...inOrder].sort((one, other) => rankOf(one) - rankOf(other));
  const findings = new Map(members.map(({ name, status }) => [name, status ? reportedCodes(problemsOf(status)) : []]));
  // The numbers of the states add up to the total: a failed member counts only as failed.
  const count = (counted: Member["state"]): number =>
    migrations.filter(({ state, hasFailed }) => !hasFailed && state === counted).length;
  return {
    total: migrations.length,
    succeeded: count("Succeeded"),
    waiting: count("WaitingForUserAction"),
    failed: migrations.filter(({ hasFailed }) => hasFailed).length,
    canceled: count("Canceled"),
    bytesCopied: databases.reduce((sum, { bytesCopied }) => sum + bytesCopied, 0),
    rowsCopied: databases.reduce((sum, { rowsCopied }) => sum + rowsCopied, 0),
    bytesTotal: migrations.reduce((sum, { bytesTotal }) => sum + bytesTotal, 0),
    secondsLeft: secondsLeft(inOrder, concurrency),
    findings: groupFindings(migrations.map(({ name }) => ({ name, findings: findings.get(name)! }))),
    migrations,
  };
}

const rankOf = ({ state, hasFailed }: Member): number =>
  hasFailed || state === "NotCreated"
    ? 0
    : attentionRank({ state, workerState: undefined, different: 0, isUnreachable: false });

function summarizeMember({ name, wave, status, failure }: MemberStatus, position: number): Member {
  const error = failure ?? status?.error;
  const reason = error === undefined ? {} : { error };
  if (!status) {
    const nothing = {
      bytesTotal: 0,
      failures: 0,
      warnings: 0,
      secondsLeft: 0,
      databases: [],
      percent: 0,
      hasFailed: true,
    };
    return { name, position, wave, state: "NotCreated", ...nothing, ...reason };
  }
  const findings = problemsOf(status);
  const databases = Object.values(status.currentSubStateDetails.dbDetails);
  const sum = (key: "bytesTotal" | "bytesCopied"): number => databases.reduce((all, one) => all + one[key], 0);
  const missing = status.percent === 100 ? 0 : Math.max(0, sum("bytesTotal") - sum("bytesCopied"));
  return {
    name,
    position,
    wave,
    bytesTotal: sum("bytesTotal"),
    failures: findings.filter(({ state }) => state === "Failed").length,
    warnings: findings.filter(({ state }) => state === "Warning").length,
    secondsLeft: status.secondsLeft ?? copySeconds(missing, defaultCopyRate),
    state: status.state,
    databases: Object.keys(status.currentSubStateDetails.dbDetails),
    percent: status.percent,
    hasFailed:
      typeof failure === "string" ||
      status.state === "ValidationFailed" ||
      failedDatabases(status).length > 0 ||
      status.state === "Failed",
    ...reason,
  };
}

/** The queues of a wave run at the same time, the waves one after another. */
function secondsLeft(migrations: readonly Member[], concurrency: number): number {
  const waves = new Map<number, number[]>();
  for (const { wave, secondsLeft: seconds } of migrations) {
    waves.set(wave, [...(waves.get(wave) ?? []), seconds]);
  }
  const longestQueue = (members: readonly number[]): number => {
    const queues = Array.from({ length: Math.min(concurrency, members.length) }, () => 0);
    for (const [index, seconds] of members.entries()) queues[index % concurrency]! += seconds;
    return Math.max(0, ...queues);
  };
  return [...waves.values()].reduce((sum, members) => sum + longestQueue(members), 0);
}

/** What an operation prints at its end. */
export function inWords({
  total,
  succeeded,
  waiting,
  failed,
  canceled,
  bytesTotal,
  secondsLeft: seconds,
  findings,
}: Omit<FleetSummary, "problems">): string {
  const parts = [`${succeeded} succeeded`, `${waiting} wait for you`, `${failed} failed`, `${canceled} canceled`];
  const numbers = `${total} migrations, ${formatBytes(bytesTotal)}: ${parts.join(", ")}; about ${formatDuration(seconds)} left to copy`;
  return findings.length === 0 ? numbers : `${numbers}\n${findingGroupsTable(findings)}`;
}
