/**
 * The status of a migration, in the vocabulary of Azure's migration service (REST `flexibleServers/migrations`, API
 * version 2025-08-01), with additional details. Plain JSON, because it becomes resource outputs.
 */

export type MigrationState =
  "InProgress" | "WaitingForUserAction" | "CleaningUp" | "Succeeded" | "Failed" | "ValidationFailed" | "Canceled";

export type MigrationSubState =
  | "PerformingPreRequisiteSteps"
  | "ValidationInProgress"
  | "WaitingForLogicalReplicationSetupRequestOnSourceDB"
  | "WaitingForDBsToMigrateSpecification"
  | "WaitingForTargetDBOverwriteConfirmation"
  | "WaitingForDataMigrationScheduling"
  | "WaitingForDataMigrationWindow"
  | "MigratingData"
  | "WaitingForCutoverTrigger"
  /** The cutover is requested, and `cutoverWindow` is ahead. */
  | "WaitingForCutoverWindow"
  | "CompletingMigration"
  /** Cut over, and changes of the target are applied to the source until `rollback` decides which server remains. */
  | "WaitingForRollbackDecision"
  | "CancelingRequestedDBMigrations"
  | "Completed";

export type DatabaseState =
  "InProgress" | "WaitingForCutoverTrigger" | "Failed" | "Canceling" | "Canceled" | "Succeeded";

/** `lost`: the migration has not ended, but no worker holds its lease. */
export type WorkerState = "running" | "lost" | "ended";

export type ValidationState = "Succeeded" | "Warning" | "Failed";

export type ValidationType =
  | "AuthenticationAndConnectivityValidation"
  | "SourceVersionValidation"
  | "ServerParametersValidation"
  | "SchemaValidation"
  | "ExtensionsValidation"
  | "CollationsValidation";

export interface ValidationMessage {
  readonly state: ValidationState;
  readonly message: string;
  /** A code of Azure's migration service or our own (`PGM-`), which docs/findings.md explains. */
  readonly code?: string;
  readonly object?: string;
  readonly objectType?: "Database" | "Instance";
  /** What to do about it, with a command if there is one. */
  readonly remedy?: string;
}

export interface ValidationSummary {
  readonly type: ValidationType;
  readonly state: ValidationState;
  readonly messages: readonly ValidationMessage[];
}

export interface ValidationDetails {
  readonly status: ValidationState;
  readonly validationStartTimeInUtc?: string;
  readonly validationEndTimeInUtc?: string;
  readonly serverLevelValidationDetails: readonly ValidationSummary[];
  readonly dbLevelValidationDetails: readonly {
    readonly databaseName: string;
    readonly startedOn?: string;
    readonly endedOn?: string;
    readonly summary: readonly ValidationSummary[];
  }[];
}

export interface DatabaseDetails {
  readonly databaseName: string;
  readonly migrationState: DatabaseState;
  readonly migrationOperation: string;
  readonly startedOn?: string;
  readonly endedOn?: string;
  readonly fullLoadQueuedTables: number;
  readonly fullLoadLoadingTables: number;
  readonly fullLoadCompletedTables: number;
  readonly fullLoadErroredTables: number;
  readonly cdcInsertCounter: number;
  readonly cdcUpdateCounter: number;
  readonly cdcDeleteCounter: number;
  readonly appliedChanges: number;
  /** Changes received from the source and not applied yet. */
  readonly incomingChanges: number;
  /** Lag of the target in seconds. `latency` is Azure's name for it. */
  readonly latency: number;
  readonly latencySeconds: number;
  /**
   * Whether a worker currently measures lag and rates. Otherwise they are the last measured values, or 0 if the
   * database was never replicated.
   */
  readonly isLagMeasured: boolean;
  /** Time of the last measurement; present if the database has a stream, but no worker measures it. */
  readonly lagUnknownSince?: string;
  readonly message?: string;
  /** The cutover window that the database waits for. The message may name another wait, such as for a change of the schema. */
  readonly awaitedWindow?: string;
  /** Bytes and rows copied so far, and in total (heap and TOAST, and estimated rows). */
  readonly bytesCopied: number;
  readonly bytesTotal: number;
  readonly rowsCopied: number;
  readonly rowsEstimated: number;
  readonly indexesCompleted: number;
  readonly indexesTotal: number;
  /** Bytes of WAL between the source's current position and the applied LSN. */
  readonly lagBytes: number;
  /** Host and process ID of the worker of another pool process that applies the changes; absent if the migration's worker does. */
  readonly streamWorker?: string;
  /** Transactions received from the source and not applied yet. */
  readonly pendingTransactions: number;
  /** Applied inserts, averaged over the last ten seconds. */
  readonly insertsPerSecond: number;
  readonly updatesPerSecond: number;
  readonly deletesPerSecond: number;
  /** Estimated time until the target has caught up; absent if the lag does not decrease. */
  readonly secondsToCatchUp?: number;
  readonly tablesCompared: number;
  readonly tablesDifferent: number;
  /** WAL that the source retains for the slot; absent without a slot. */
  readonly retainedWalBytes?: number;
  /** Limit for retained WAL, from `maxRetainedWal` or the source's `max_slot_wal_keep_size`; absent without a limit. */
  readonly retainedWalLimitBytes?: number;
  /** A slot that no worker reads: its name, the WAL that the source retains for it, and what ends that. */
  readonly keptSlot?: string;
  /** Compared tables whose rows were only counted, because of `verification` or `cutoverVerificationBudget`. */
  readonly tablesCounted: number;
  /** Present while tables are compared. */
  readonly comparison?: ComparisonProgress;
  /** Running index builds, the longest first, at most ten. */
  readonly indexBuilds?: readonly IndexBuild[];
  /** Online: the last comparison during replication, requested by `verifyNow` or `verifyBeforeCutover`. */
  readonly verification?: OnlineVerification;
  /** Present after the cutover, while a return to the source is possible. */
  readonly rollbackReplication?: RollbackStatus;
  /** Percentage of bytes of the initial copy. */
  readonly percent: number;
  /** The largest tables, at most 200. */
  readonly tables: readonly TableDetails[];
}

export interface ComparisonProgress {
  /** Size of the compared tables on disk. A table that was read on one server counts half. */
  readonly bytesCompared: number;
  readonly bytesTotal: number;
  /** Estimate at the current rate. */
  readonly secondsLeft?: number;
}

export interface IndexBuild {
  /** An index, or a constraint with an index. */
  readonly index: string;
  /** `schema.table`, quoted as SQL requires it. */
  readonly table: string;
  readonly seconds: number;
  /** Phase in the target's pg_stat_progress_create_index (from 12 on); absent before. */
  readonly phase?: string;
  /** Percentage of the phase, if the phase has one. */
  readonly percent?: number;
}

/** A comparison of both servers at one LSN of the source during replication. */
export interface OnlineVerification {
  /** `failed`: the comparison was not completed; `message` has the reason. */
  readonly state: "running" | "equal" | "different" | "failed";
  /** The value of `verifyNow`, or `beforeCutover`. */
  readonly requestedBy: string;
  /** With `beforeCutover`: the value of `verifyNow`, whose result this comparison replaces. */
  readonly answers?: string;
  readonly startedOn: string;
  readonly endedOn?: string;
  /** Position in the source's WAL. Both servers show all transactions committed before it, and no later ones. */
  readonly lsn?: string;
  /** How long applying was paused, in seconds. */
  readonly heldSeconds?: number;
  readonly tablesCompared?: number;
  readonly tablesDifferent?: number;
  /** The first tables that differ, at most 200. */
  readonly differences?: readonly {
    readonly table: string;
    readonly sourceRows: number;
    readonly targetRows: number;
    /** Rows by their keys, and the state on the target: missing, unexpected (not on the source) or different. */
    readonly firstDifferences: readonly { readonly key: string; readonly kind: string }[];
  }[];
  readonly message?: string;
}

/** The value of `verifyNow` that a comparison answers, or `beforeCutover`. */
export const answeredRequest = ({ answers, requestedBy }: OnlineVerification): string => answers ?? requestedBy;

/** The stream from the target to the source after a cutover with `rollback: "keep"`. */
export interface RollbackStatus {
  /** `paused`: the source refuses a change, which the worker retries, or a return failed; `message` has the reason. */
  readonly state: "opening" | "following" | "paused" | "returning";
  readonly message?: string;
  readonly inserts?: number;
  readonly updates?: number;
  readonly deletes?: number;
  readonly latencySeconds?: number;
  /** Bytes of the target's WAL that are not yet applied to the source. */
  readonly lagBytes?: number;
}

export interface TableDetails {
  /** `schema.table`, quoted as SQL requires it. */
  readonly table: string;
  readonly state: "queued" | "loading" | "completed" | "errored";
  readonly bytesCopied: number;
  readonly bytesTotal: number;
  readonly rowsCopied: number;
  readonly rowsEstimated: number;
  /** Online: changes that are applied since the copy. Absent before the first one. */
  readonly inserts?: number;
  readonly updates?: number;
  readonly deletes?: number;
  /** Undefined before the comparison. */
  readonly verified?: "equal" | "different";
  /** What was compared: every stored value, or only the number of rows. */
  readonly verifiedBy?: "content" | "counts";
  readonly sourceRows?: number;
  readonly targetRows?: number;
  readonly error?: string;
}

/** Limits the outputs, which Pulumi stores in the state: a database may have ten thousand tables. */
export const maxTablesShown = 200;
export const maxIndexBuildsShown = 10;

/** Version and settings of a server. */
export interface ServerMetadata {
  /** As in `server_version`: `17.10`. */
  readonly version: string;
  readonly host: string;
  readonly port: number;
  /** Total size of all databases that the role may connect to, in megabytes of 1024 x 1024 bytes. */
  readonly storageMb: number;
}

/** How to connect to the migrated data, with the password from the program. */
export interface TargetConnection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly sslMode: string;
  /** Names on the target, in the order of dbsToMigrate. */
  readonly databases: readonly string[];
}

export interface MigrationStatus {
  /** Unique on the target, and constant while the migration is recorded. Corresponds to Azure's name. */
  readonly migrationId: string;
  readonly state: MigrationState;
  /**
   * The error of the migration. In any other state than `Failed`, the errors of failed databases while the others
   * continue.
   */
  readonly error?: string;
  readonly currentSubStateDetails: {
    readonly currentSubState: MigrationSubState;
    /** The last substate with progress: where a failed or canceled migration stopped. */
    readonly reachedSubState?: MigrationSubState;
    readonly dbDetails: Readonly<Record<string, DatabaseDetails>>;
    readonly validationDetails?: ValidationDetails;
  };
  /** The process that migrates. */
  readonly worker: {
    readonly state: WorkerState;
    readonly host?: string;
    readonly pid?: number;
    /** Version of the worker's package. */
    readonly version?: string;
  };
  /** Initial copy of all databases: 100 when every byte is copied. */
  readonly percent: number;
  readonly bytesPerSecond: number;
  /** Estimated remaining time of the initial copy; absent if there is not enough data. */
  readonly secondsLeft?: number;
  readonly sourceDbServerMetadata?: ServerMetadata;
  readonly targetDbServerMetadata?: ServerMetadata;
  readonly startedOn?: string;
  readonly endedOn?: string;
  /** Steps of the cutover with their durations in seconds; empty before it. */
  readonly cutoverTimeline: readonly CutoverStep[];
}

/** Steps of one database run one after another. Databases are cut over at the same time. */
export interface CutoverStep {
  readonly database: string;
  readonly step: string;
  readonly seconds: number;
}

/** Substates before the copy, which end when a property is updated, or at their time. */
export const waitsBeforeTheStart: readonly MigrationSubState[] = [
  "WaitingForLogicalReplicationSetupRequestOnSourceDB",
  "WaitingForDBsToMigrateSpecification",
  "WaitingForTargetDBOverwriteConfirmation",
  "WaitingForDataMigrationScheduling",
  "WaitingForDataMigrationWindow",
];

const ends: readonly MigrationState[] = ["Succeeded", "Failed", "ValidationFailed", "Canceled"];

/** Whether the migration has ended, so that no worker continues it without a new request. */
export const hasEnded = (state: MigrationState): boolean => ends.includes(state);

/** Whether one database has ended. */
export const hasDatabaseEnded = (state: DatabaseState): boolean =>
  state === "Succeeded" || state === "Failed" || state === "Canceled";

/** Failed databases, which wait for another attempt while the others may continue. */
export const failedDatabases = ({ currentSubStateDetails }: MigrationStatus): string[] =>
  Object.values(currentSubStateDetails.dbDetails).flatMap(({ databaseName, migrationState }) =>
    migrationState === "Failed" ? [databaseName] : [],
  );
