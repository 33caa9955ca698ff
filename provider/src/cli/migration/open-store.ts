import { NotFoundError } from "../../errors.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { findMigration, type MigrationSummary } from "../../store/list-migrations.js";
import type { StoreAddress } from "../../store/installation/records-database.js";
import { withExistingStore, type Store } from "../../store/store.js";
import { readMigrationFlags, type MigrationFlags } from "../options/migration-options.js";
import { resolveTarget, type TargetFlags } from "../options/server-options.js";
import { recordsDatabase, usualMaintenanceDatabase } from "../../inputs/maintenance-database.js";

/** Runs with the records on the target open; `undefined` if the server has none. */
export async function withStore<T>(
  flags: TargetFlags,
  run: (store: Store | undefined, target: Endpoint) => Promise<T>,
): Promise<T> {
  const address = await addressOf(flags);
  return withExistingStore(address, "command", (store) => run(store, address.target));
}

const addressOf = async (flags: TargetFlags): Promise<StoreAddress> => ({
  target: await resolveTarget(flags),
  maintenanceDatabase: flags.maintenanceDatabase ?? usualMaintenanceDatabase,
});

/** A recorded migration, and the session that read it. */
export interface FoundMigration {
  readonly store: Store;
  readonly target: Endpoint;
  readonly migration: MigrationSummary;
}

/** @throws NotFoundError if the target has no migration of that name; DamagedRecordError if its record is unreadable */
export async function withMigration<T>(flags: MigrationFlags, run: (found: FoundMigration) => Promise<T>): Promise<T> {
  const { name, target } = readMigrationFlags(flags);
  return withMigrationAt(await addressOf(target), name, run);
}

/** As {@link withMigration}, also with a damaged record. @throws NotFoundError */
export async function withAnyMigration<T>(
  flags: MigrationFlags,
  run: (found: FoundMigration) => Promise<T>,
): Promise<T> {
  const { name, target } = readMigrationFlags(flags);
  return withRecordAt(await addressOf(target), name, run);
}

/** As {@link withMigration}, for a target that is resolved already. */
export const withMigrationAt = <T>(
  address: StoreAddress,
  name: string,
  run: (found: FoundMigration) => Promise<T>,
): Promise<T> =>
  withRecordAt(address, name, (found) => {
    if (found.migration.damage) throw found.migration.damage;
    return run(found);
  });

const withRecordAt = <T>(address: StoreAddress, name: string, run: (found: FoundMigration) => Promise<T>): Promise<T> =>
  withExistingStore(address, "command", async (store) => {
    const { target } = address;
    const migration = store && (await findMigration(store, name));
    if (migration) return run({ store, target, migration });
    throw new NotFoundError(`no migration ${name} is recorded on ${target.host}:${target.port}`, {
      remedy: `list the existing ones with pg-migration list --filter All${hintAt(store)}`,
    });
  });

/** The records of a migration that replaces `postgres` are elsewhere, even if that database has records, too. */
const hintAt = (store: Store | undefined): string =>
  store?.database === usualMaintenanceDatabase
    ? `; if it replaces the database ${usualMaintenanceDatabase}, add --maintenance-database ${recordsDatabase}`
    : "";
