import type { PgMigrationArgs } from "../pg-migration.js";

/** One migration of a fleet, with its own inputs. */
export interface FleetMember extends PgMigrationArgs {
  /** Name of the resource. It is also the migration's unless `migrationName` is set. */
  readonly name: string;
  /** Members of a wave start when all members of the former waves have reached their goals. Default 1. */
  readonly wave?: number | undefined;
}
