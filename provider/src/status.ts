/**
 * What a migration reports, in the vocabulary of Azure's migration service (REST `flexibleServers/migrations`, API
 * version 2025-08-01), with what that service does not tell beside it. Plain JSON: it becomes resource outputs.
 */

export type MigrationState =
  "InProgress" | "WaitingForUserAction" | "CleaningUp" | "Succeeded" | "Failed" | "ValidationFailed" | "Canceled";

export type MigrationSubState =
  | "PerformingPreRequisiteSteps"
  | "ValidationInProgress"
  | "MigratingData"
  | "WaitingForCutoverTrigger"
  | "CompletingMigration"
  | "CancelingRequestedDBMigrations"
  | "Completed";

export type DatabaseState =
  "InProgress" | "WaitingForCutoverTrigger" | "Failed" | "Canceling" | "Canceled" | "Succeeded";

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
  /** Seconds that the target is behind the source's commits. */
  readonly latency: number;
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
  readonly tablesCompared: number;
  readonly tablesDifferent: number;
}

export interface MigrationStatus {
  readonly state: MigrationState;
  readonly error?: string;
  readonly currentSubStateDetails: {
    readonly currentSubState: MigrationSubState;
    readonly dbDetails: Readonly<Record<string, DatabaseDetails>>;
    readonly validationDetails?: ValidationDetails;
  };
  /** The process that does the work. `lost` when it is needed and nobody holds the lease. */
  readonly worker: { readonly state: "running" | "lost" | "ended"; readonly host?: string; readonly pid?: number };
  readonly startedOn?: string;
  readonly endedOn?: string;
  /** Steps of the cutover with the seconds that each took; empty before it. */
  readonly cutoverTimeline: readonly { readonly step: string; readonly seconds: number }[];
}

const ends: readonly MigrationState[] = ["Succeeded", "Failed", "ValidationFailed", "Canceled"];

/** No worker goes on from here unless the user asks for it. */
export const hasEnded = (state: MigrationState): boolean => ends.includes(state);
