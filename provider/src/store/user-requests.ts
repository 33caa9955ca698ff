import { NotFoundError, RefusedError } from "../errors.js";
import type { FindingCode } from "../finding-codes/finding-code.js";
import { hasEnded } from "../status.js";
import { findMigration, type MigrationSummary } from "./list-migrations.js";
import { request } from "./requests.js";
import type { Store } from "./store.js";

/** Requests the cutover of an online migration. @throws NotFoundError, RefusedError if there is nothing to cut over */
export async function requestCutover(store: Store, name: string): Promise<void> {
  const migration = await openMigration(store, name, "603113");
  if (migration.spec.migrationMode === "Offline")
    throw new RefusedError(`${name} is an offline migration, which has no cutover`, {
      code: "603114",
      remedy: "wait until it ends, or create an online migration",
    });
  await request(store, name, "cutover");
}

/** Requests the cancellation of a migration. @throws NotFoundError, RefusedError if it has ended */
export async function requestCancel(store: Store, name: string): Promise<void> {
  await openMigration(store, name, undefined);
  await request(store, name, "cancel");
}

async function openMigration(store: Store, name: string, code: FindingCode | undefined): Promise<MigrationSummary> {
  const migration = await findMigration(store, name);
  if (!migration)
    throw new NotFoundError(`no migration ${name} is recorded on the target`, {
      remedy: "list the migrations: pg-migration list",
    });
  if (migration.damage) throw migration.damage;
  if (!hasEnded(migration.state)) return migration;
  throw new RefusedError(`the migration ${name} has ended: ${migration.state}`, {
    ...(code === undefined ? {} : { code }),
    remedy:
      migration.state === "Failed"
        ? "run pulumi up to resume it, or set cancel to true to remove its objects on the servers"
        : "an ended migration accepts no requests; see pg-migration show",
  });
}
