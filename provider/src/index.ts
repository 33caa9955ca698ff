export {
  PgMigration,
  type Duration,
  type FilterArgs,
  type PgMigrationArgs,
  type SecretParametersArgs,
  type ServerArgs,
  type Switch,
  type WebhookArgs,
} from "./resource/pg-migration.js";
export {
  PgFleetMigration,
  type FleetMember,
  type FleetSummary,
  type PgFleetMigrationArgs,
} from "./pg-fleet-migration.js";
export type { SourceType } from "./inputs/inputs.js";
export type { SslMode } from "./postgres/connection/connect.js";
export type {
  ComparisonProgress,
  DatabaseDetails,
  DatabaseState,
  IndexBuild,
  MigrationState,
  MigrationStatus,
  MigrationSubState,
  OnlineVerification,
  ServerMetadata,
  TableDetails,
  TargetConnection,
  ValidationDetails,
  ValidationMessage,
  ValidationState,
  ValidationSummary,
  ValidationType,
  WayBackStatus,
} from "./status.js";
export { MigrationIncomplete } from "./lifecycle.js";
export {
  Canceled,
  ContentDiffers,
  EngineFault,
  InvalidInput,
  NotFound,
  Refused,
  SourceAtRisk,
  TakenOver,
  TimedOut,
  Unreachable,
  type FailureDetails,
} from "./errors.js";
export type { WorkerJob, WorkerServer } from "./worker/context/worker-job.js";
/** @internal what the provider's text in the state calls */
export { provider } from "./provider.js";
