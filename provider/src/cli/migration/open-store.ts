import { NotFound } from "../../errors.js";
import type { Endpoint } from "../../postgres/connection/connect.js";
import { findMigration, type MigrationSummary } from "../../store/list-migrations.js";
import { Store } from "../../store/store.js";
import { readMigrationFlags, type MigrationFlags } from "../options/migration-options.js";
import { targetOf, type TargetFlags } from "../options/server-options.js";

/** Runs with the target's records open; `undefined` where nobody has migrated into that server. */
export async function withStore<T>(
  flags: TargetFlags,
  run: (store: Store | undefined, target: Endpoint) => Promise<T>,
): Promise<T> {
  const target = await targetOf(flags);
  const store = await Store.find({ target, maintenanceDatabase: flags.maintenanceDatabase }, "command");
  try {
    return await run(store, target);
  } finally {
    await store?.close();
  }
}

/** A migration that is recorded, and the session in which it was found. */
export interface FoundMigration {
  readonly store: Store;
  readonly target: Endpoint;
  readonly migration: MigrationSummary;
}

/** @throws NotFound when the target has no migration of that name */
export async function withMigration<T>(flags: MigrationFlags, run: (found: FoundMigration) => Promise<T>): Promise<T> {
  const { name, target: targetFlags } = readMigrationFlags(flags);
  return withStore(targetFlags, async (store, target) => {
    const migration = store && (await findMigration(store, name));
    if (migration) return run({ store, target, migration });
    throw new NotFound(`no migration ${name} is recorded on ${target.host}:${target.port}`, {
      remedy: "see which there are: pg-migration list",
    });
  });
}
