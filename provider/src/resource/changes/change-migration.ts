import { isDeepStrictEqual } from "node:util";
import { InvalidInputError, NotFoundError, RefusedError, type InputFailure } from "../../errors.js";
import { checkInputs } from "../../inputs/check-inputs.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { usesToken } from "../../postgres/authentication/authentication.js";
import { hasEnded } from "../../status.js";
import { findMigration, type MigrationSummary } from "../../store/list-migrations.js";
import { readStatus } from "../../store/read-status.js";
import { lockMigration, updateSpec } from "../../store/records.js";
import type { Store } from "../../store/store.js";
import { recordRequests } from "../apply-inputs.js";
import { impossibleTransitions } from "../transitions.js";
import { changedSpec, type MigrationChange } from "./migration-change.js";

/** Whether the caller starts a worker, so that a failed migration can resume with the change. */
export interface ChangeOptions {
  readonly resumes?: boolean;
}

/**
 * Changes inputs of a recorded migration for the command and the dashboard, under the rules of the resource. The running
 * worker, or the next one, carries the change out.
 *
 * @returns the changed spec
 * @throws NotFoundError, RefusedError, InvalidInputError when nothing was changed
 * @example await changeMigration(store, "crm", { triggerCutover: true, dbsToTriggerCutoverOn: ["orders"] });
 */
export function changeMigration(
  store: Store,
  name: string,
  change: MigrationChange,
  options: ChangeOptions = {},
): Promise<MigrationSpec> {
  return store.atOnce(async () => {
    await lockMigration(store, name);
    const { spec } = await requireOpen(store, name, change, options);
    refuseForMode(spec, change);
    const changed = changedSpec(spec, change);
    refuseInvalid(spec, changed);
    await refuseImpossible(store, spec, changed);
    await updateSpec(store, changed);
    await recordRequests(store, changed);
    return changed;
  });
}

/** @throws NotFoundError, or RefusedError when the migration has ended */
export async function requireOpen(
  store: Store,
  name: string,
  { triggerCutover, cancel }: MigrationChange,
  { resumes = false }: ChangeOptions,
): Promise<MigrationSummary> {
  const migration = await findMigration(store, name);
  if (!migration)
    throw new NotFoundError(`no migration ${name} is recorded on the target`, {
      remedy: "list the migrations: pg-migration list",
    });
  if (migration.damage) throw migration.damage;
  const { state } = migration;
  const hasFailed = state === "Failed" || state === "ValidationFailed";
  if (state === "ValidationFailed" && cancel)
    throw new RefusedError(`the migration ${name} did not pass its validation: there is nothing to cancel`, {
      remedy: "remove it: pg-migration delete",
    });
  if (!hasEnded(state) || (hasFailed && resumes)) return migration;
  throw new RefusedError(`the migration ${name} has ended: ${state}`, {
    ...(triggerCutover ? { code: "603113" } : {}),
    remedy: hasFailed
      ? "run pulumi up to resume it, or set cancel to true to remove its objects on the servers"
      : "look at it with pg-migration show, or start a new one with pg-migration create",
  });
}

function refuseForMode({ migrationName, migrationMode, dbsToMigrate }: MigrationSpec, change: MigrationChange): void {
  if (migrationMode === "Offline" && change.triggerCutover)
    throw new RefusedError(`${migrationName} is an offline migration, which has no cutover`, {
      code: "603114",
      remedy: "wait until it ends, or create an online migration",
    });
  if (migrationMode === "Offline" && change.setupLogicalReplicationOnSourceDbIfNeeded)
    throw new RefusedError(`${migrationName} is an offline migration, which does not use replication`, {
      remedy: "leave out --setup-replication, or create an online migration",
    });
  if (change.dbsToMigrate && dbsToMigrate.length > 0)
    throw new RefusedError(`${migrationName} already has its databases: ${dbsToMigrate.join(", ")}`, {
      remedy: "migrate other databases with another migration, or change dbsToMigrate in a program",
    });
}

/** The rules of the inputs. What was invalid before prevents no change, for example no cancel. @throws InvalidInputError */
function refuseInvalid(before: MigrationSpec, after: MigrationSpec): void {
  const known = failuresOf(before);
  const failures = failuresOf(after).filter((failure) => !known.some((one) => isDeepStrictEqual(one, failure)));
  if (failures.length > 0) throw new InvalidInputError(failures);
}

/** The password has no effect: the records have none. */
function failuresOf(spec: MigrationSpec): readonly InputFailure[] {
  const [source, target] = [spec.source, spec.target].map((server) =>
    usesToken(server.auth) ? server : { ...server, password: "(not used)" },
  );
  return checkInputs({ ...spec, source, target }).failures;
}

/** The preview refuses the same changes. @throws RefusedError */
async function refuseImpossible(store: Store, before: MigrationSpec, after: MigrationSpec): Promise<void> {
  const status = await readStatus(store, before.migrationName);
  const failures = status ? impossibleTransitions({ before, after }, status) : [];
  if (failures.length > 0)
    throw new RefusedError(failures.map(({ property, reason }) => `${property}: ${reason}`).join("\n"));
}
