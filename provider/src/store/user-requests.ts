import { NotFoundError, RefusedError } from "../errors.js";
import { hasEnded } from "../status.js";
import { findMigration, type MigrationSummary } from "./list-migrations.js";
import { request } from "./requests.js";
import type { Store } from "./store.js";

/** Asks the worker of an online migration to cut over. @throws NotFoundError, RefusedError where there is nothing to cut over */
export async function requestCutover(store: Store, name: string): Promise<void> {
  const migration = await openMigration(store, name, "603113");
  if (migration.spec.migrationMode === "Offline")
    throw new RefusedError(`${name} is an offline migration, which has no cutover`, {
      code: "603114",
      remedy: "wait for its end, or create an online migration",
    });
  await request(store, name, "cutover");
}

/** Asks the worker to give a migration up. @throws NotFoundError, RefusedError where it has ended */
export async function requestCancel(store: Store, name: string): Promise<void> {
  await openMigration(store, name, undefined);
  await request(store, name, "cancel");
}

async function openMigration(store: Store, name: string, code: string | undefined): Promise<MigrationSummary> {
  const migration = await findMigration(store, name);
  if (!migration)
    throw new NotFoundError(`no migration ${name} is recorded on the target`, {
      remedy: "see which there are: pg-migration list",
    });
  if (!hasEnded(migration.state)) return migration;
  throw new RefusedError(`the migration ${name} has ended: ${migration.state}`, {
    ...(code === undefined ? {} : { code }),
    remedy:
      migration.state === "Failed"
        ? "pulumi up goes on with it, or, with cancel set to true, removes what it has left on the servers"
        : "nothing is left to ask of it; look at it with pg-migration show",
  });
}
