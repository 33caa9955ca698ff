/**
 * What a migration reports, in the vocabulary of Azure's migration service (REST `flexibleServers/migrations`, API
 * version 2025-08-01), with what that service does not tell beside it. Plain JSON: it becomes resource outputs.
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
  | "CompletingMigration"
  /** Cut over, and the source is kept as the target is: until `rollback` says which of both stays. */
  | "WaitingForRollbackDecision"
  | "CancelingRequestedDBMigrations"
  | "Completed";

export type DatabaseState =
  "InProgress" | "WaitingForCutoverTrigger" | "Failed" | "Canceling" | "Canceled" | "Succeeded";

/** `lost`: the migration has not ended, and no worker holds its lease. */
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
  /** Azure's code where it has one. */
  readonly code?: string;
  readonly object?: string;
  readonly objectType?: "Database" | "Instance";
  /** What to do about it, as a command where one exists. */
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
  /** Seconds that the target is behind the source's commits: Azure's name, and one that says its unit. */
  readonly latency: number;
  readonly latencySeconds: number;
  /**
   * Whether lag and rates are measured now: a worker follows the source. Otherwise they are the last values measured, or 0
   * for a database that was never followed.
   */
  readonly isLagMeasured: boolean;
  /** When lag and rates were last measured; present while the database has a stream that no worker measures. */
  readonly lagUnknownSince?: string;
  readonly message?: string;
  /** Bytes and rows copied so far, and what is to be copied (heap and TOAST, and estimated rows). */
  readonly bytesCopied: number;
  readonly bytesTotal: number;
  readonly rowsCopied: number;
  readonly rowsEstimated: number;
  readonly indexesCompleted: number;
  readonly indexesTotal: number;
  /** Bytes of WAL between the source's end and what is applied. */
  readonly lagBytes: number;
  /** Transactions received from the source and not applied yet. */
  readonly pendingTransactions: number;
  /** Applied, over the last ten seconds. */
  readonly insertsPerSecond: number;
  readonly updatesPerSecond: number;
  readonly deletesPerSecond: number;
  /** Estimate of when the target has caught up; absent while it does not come nearer. */
  readonly secondsToCatchUp?: number;
  readonly tablesCompared: number;
  readonly tablesDifferent: number;
  /** WAL that the source keeps for the slot; absent where there is none. */
  readonly retainedWalBytes?: number;
  /** How much it may keep, by `maxRetainedWal` or the source's `max_slot_wal_keep_size`; absent where neither is set. */
  readonly retainedWalLimitBytes?: number;
  /** Of those compared: only their rows were counted, as `verification` wants it or beyond `cutoverVerificationBudget`. */
  readonly tablesCounted: number;
  /** While tables are compared. */
  readonly comparison?: ComparisonProgress;
  /** While indexes are built: those in hand, the longest first, at most ten. */
  readonly indexBuilds?: readonly IndexBuild[];
  /** Online: the last comparison while writes went on, by `verifyNow` or `verifyBeforeCutover`. */
  readonly verification?: OnlineVerification;
  /** After the cutover, for as long as one can return to the source. */
  readonly rollbackReplication?: RollbackStatus;
  /** Of the base copy, by bytes. */
  readonly percent: number;
  /** The largest tables, at most 200 of them. */
  readonly tables: readonly TableDetails[];
}

export interface ComparisonProgress {
  /** Of tables as they are stored; what is read on one side only counts half. */
  readonly bytesCompared: number;
  readonly bytesTotal: number;
  /** If it goes on as fast as it went. */
  readonly secondsLeft?: number;
}

export interface IndexBuild {
  /** An index, or a constraint that is one. */
  readonly index: string;
  /** `schema.table`, quoted where SQL needs it. */
  readonly table: string;
  readonly seconds: number;
  /** As the target's pg_stat_progress_create_index (from 12 on) tells it; absent before it does. */
  readonly phase?: string;
  /** Of the phase, where that has a measure. */
  readonly percent?: number;
}

/** A comparison of both sides at one point of the source's history, made while writes go on. */
export interface OnlineVerification {
  /** `failed`: it could not be made, and nothing is known; `message` says why. */
  readonly state: "running" | "equal" | "different" | "failed";
  /** The `verifyNow` that asked for it; `beforeCutover` where the cutover did. */
  readonly requestedBy: string;
  readonly startedOn: string;
  readonly endedOn?: string;
  /** The point: both sides show every transaction that the source had committed before it, and none after. */
  readonly lsn?: string;
  /** For how long changes were not applied, in seconds. */
  readonly heldSeconds?: number;
  readonly tablesCompared?: number;
  readonly tablesDifferent?: number;
  /** The first tables that differ, at most 200 of them. */
  readonly differences?: readonly {
    readonly table: string;
    readonly sourceRows: number;
    readonly targetRows: number;
    /** The rows by their keys, and what the target's is: missing, unexpected (the source has none) or different. */
    readonly firstDifferences: readonly { readonly key: string; readonly kind: string }[];
  }[];
  readonly message?: string;
}

/** The stream from the target back to the source, after a cutover with `rollback: "keep"`. */
export interface RollbackStatus {
  /** `paused`: the source cannot take a change; `message` says why. It is tried again all the time. */
  readonly state: "opening" | "following" | "paused" | "returning";
  readonly message?: string;
  readonly inserts?: number;
  readonly updates?: number;
  readonly deletes?: number;
  readonly latencySeconds?: number;
  /** Bytes of the target's WAL that are not applied to the source. */
  readonly lagBytes?: number;
}

export interface TableDetails {
  /** `schema.table`, quoted where SQL needs it. */
  readonly table: string;
  readonly state: "queued" | "loading" | "completed" | "errored";
  readonly bytesCopied: number;
  readonly bytesTotal: number;
  readonly rowsCopied: number;
  readonly rowsEstimated: number;
  /** Undefined until it is compared. */
  readonly verified?: "equal" | "different";
  /** What was compared: every stored value, or only the number of rows. */
  readonly verifiedBy?: "content" | "counts";
  readonly sourceRows?: number;
  readonly targetRows?: number;
  readonly error?: string;
}

/** Outputs are kept in the state: a database with ten thousand tables must not fill it. */
export const maxTablesShown = 200;
export const maxIndexBuildsShown = 10;

/** What a worker has found a server to be. */
export interface ServerMetadata {
  /** As `server_version` says it: `17.10`. */
  readonly version: string;
  readonly host: string;
  readonly port: number;
  /** Megabytes (of 1024 x 1024 bytes) of all databases that the role may connect to. */
  readonly storageMb: number;
}

/** How to reach the migrated data; the password is the one that the program has given. */
export interface TargetConnection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly sslMode: string;
  /** By their names on the target, in the order of dbsToMigrate. */
  readonly databases: readonly string[];
}

export interface MigrationStatus {
  /** Names the migration on its target, as Azure's does: unique there, and the same for as long as it is recorded. */
  readonly migrationId: string;
  readonly state: MigrationState;
  /** Why the migration has failed; beside any other state, why some of its databases have, while the others go on. */
  readonly error?: string;
  readonly currentSubStateDetails: {
    readonly currentSubState: MigrationSubState;
    /** The last substate in which the migration made progress: where it stopped, once it has failed or was canceled. */
    readonly reachedSubState?: MigrationSubState;
    readonly dbDetails: Readonly<Record<string, DatabaseDetails>>;
    readonly validationDetails?: ValidationDetails;
  };
  /** The process that does the work. */
  readonly worker: {
    readonly state: WorkerState;
    readonly host?: string;
    readonly pid?: number;
    /** Of the package that the worker runs from. */
    readonly version?: string;
  };
  /** The base copy of all databases: 100 when every byte is copied. */
  readonly percent: number;
  readonly bytesPerSecond: number;
  /** Estimate of what is left of the base copy at that rate; absent while nothing can be said. */
  readonly secondsLeft?: number;
  readonly sourceDbServerMetadata?: ServerMetadata;
  readonly targetDbServerMetadata?: ServerMetadata;
  readonly startedOn?: string;
  readonly endedOn?: string;
  /** Steps of the cutover with the seconds that each took; empty before it. */
  readonly cutoverTimeline: readonly CutoverStep[];
}

/** The steps of one database run one after another; databases are cut over at the same time. */
export interface CutoverStep {
  readonly database: string;
  readonly step: string;
  readonly seconds: number;
}

/** Substates before the data moves, each left by an update of one property, or when its time comes. */
export const waitsBeforeTheStart: readonly MigrationSubState[] = [
  "WaitingForLogicalReplicationSetupRequestOnSourceDB",
  "WaitingForDBsToMigrateSpecification",
  "WaitingForTargetDBOverwriteConfirmation",
  "WaitingForDataMigrationScheduling",
  "WaitingForDataMigrationWindow",
];

const ends: readonly MigrationState[] = ["Succeeded", "Failed", "ValidationFailed", "Canceled"];

/** No worker goes on from here unless the user asks for it. */
export const hasEnded = (state: MigrationState): boolean => ends.includes(state);

/** The same of one database. */
export const hasDatabaseEnded = (state: DatabaseState): boolean =>
  state === "Succeeded" || state === "Failed" || state === "Canceled";

/** Those that wait for another try, whether or not the others go on. */
export const failedDatabases = ({ currentSubStateDetails }: MigrationStatus): string[] =>
  Object.values(currentSubStateDetails.dbDetails).flatMap(({ databaseName, migrationState }) =>
    migrationState === "Failed" ? [databaseName] : [],
  );
