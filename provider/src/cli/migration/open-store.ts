import { NotFoundError } from "../../errors.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { findMigration, type MigrationSummary } from "../../store/list-migrations.js";
import { Store } from "../../store/store.js";
import { readMigrationFlags, type MigrationFlags } from "../options/migration-options.js";
import { resolveTarget, type TargetFlags } from "../options/server-options.js";

/** Runs with the records on the target open; `undefined` if the server has none. */
export async function withStore<T>(
  flags: TargetFlags,
  run: (store: Store | undefined, target: Endpoint) => Promise<T>,
): Promise<T> {
  const target = await resolveTarget(flags);
  const store = await Store.find({ target, maintenanceDatabase: flags.maintenanceDatabase }, "command");
  try {
    return await run(store, target);
  } finally {
    await store?.close();
  }
}

/** A recorded migration, and the session that read it. */
export interface FoundMigration {
  readonly store: Store;
  readonly target: Endpoint;
  readonly migration: MigrationSummary;
}

/** @throws NotFoundError if the target has no migration of that name */
export async function withMigration<T>(flags: MigrationFlags, run: (found: FoundMigration) => Promise<T>): Promise<T> {
  const { name, target: targetFlags } = readMigrationFlags(flags);
  return withStore(targetFlags, async (store, target) => {
    const migration = store && (await findMigration(store, name));
    if (migration) return run({ store, target, migration });
    throw new NotFoundError(`no migration ${name} is recorded on ${target.host}:${target.port}`, {
      remedy: "list the existing ones with pg-migration list --filter All",
    });
  });
}
