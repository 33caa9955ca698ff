export {
  PgMigration,
  type AuthenticationArgs,
  type Duration,
  type FilterArgs,
  type PgMigrationArgs,
  type SecretParametersArgs,
  type CutoverWindowArgs,
  type ServerArgs,
  type Switch,
  type WebhookArgs,
} from "./resource/pg-migration.js";
export type { FleetMember } from "./resource/fleet/fleet-member.js";
export { PgFleetMigration, type FleetWave, type PgFleetMigrationArgs } from "./resource/fleet/pg-fleet-migration.js";
export type { FindingGroup, ReportedCode } from "./display/finding-groups.js";
export type { FleetSummary } from "./resource/fleet/fleet-summary.js";
export type { SourceType } from "./inputs/inputs.js";
export { nearestName } from "./inputs/nearest-name.js";
export type {
  Authentication,
  CloudSqlIamAuthentication,
  CommandAuthentication,
  EntraAuthentication,
  EntraCredential,
  RdsIamAuthentication,
} from "./postgres/authentication/authentication.js";
export type { SslMode } from "./postgres/connection/endpoint.js";
export type {
  ComparisonProgress,
  CutoverStep,
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
  WorkerState,
  RollbackStatus,
} from "./status.js";
export type { FindingCode } from "./finding-codes/finding-code.js";
export { MigrationIncompleteError } from "./resource/reach-goal.js";
export {
  CanceledError,
  ContentDiffersError,
  EngineError,
  InvalidInputError,
  NotFoundError,
  RefusedError,
  SourceAtRiskError,
  TakenOverError,
  TimeoutError,
  UnreachableError,
  type ErrorDetails,
  type InputFailure,
} from "./errors.js";
export type { WorkerJobInput as WorkerJob, WorkerServer } from "./worker/context/worker-job.js";
/** @internal what the provider's text in the state calls */
export { provider } from "./resource/provider.js";
