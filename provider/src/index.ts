export { PgMigration, type PgMigrationArgs, type ServerArgs } from "./pg-migration.js";
export { MigrationIncomplete } from "./lifecycle.js";
export * from "./errors.js";
export type * from "./status.js";
export type { SslMode } from "./postgres/connect.js";
/** @internal what the provider's text in the state calls */
export { provider } from "./provider.js";
