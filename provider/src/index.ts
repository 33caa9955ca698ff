export {
  PgMigration,
  type Duration,
  type PgMigrationArgs,
  type SecretParametersArgs,
  type ServerArgs,
  type Switch,
} from "./pg-migration.js";
export {
  PgFleetMigration,
  type FleetMember,
  type FleetSummary,
  type PgFleetMigrationArgs,
} from "./pg-fleet-migration.js";
export { MigrationIncomplete } from "./lifecycle.js";
export * from "./errors.js";
export type * from "./status.js";
export type { SourceType } from "./inputs.js";
export type { SslMode } from "./postgres/connect.js";
/** @internal what the provider's text in the state calls */
export { provider } from "./provider.js";
