import { RefusedError } from "../../errors.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { hasEnded, type MigrationState } from "../../status.js";
import { haveSameMembers } from "../apply-inputs.js";
import { inputsWithin, statusWithin, type Properties } from "../state.js";

/** What is compared of a record. */
interface Recorded {
  readonly name: string;
  readonly state: MigrationState;
  readonly spec: Pick<MigrationSpec, "dbsToMigrate" | "migrationOption">;
}

/**
 * Whether the record was restored from a backup of the time before the success that the state has. Only an update that adds a
 * database, or one that follows a validation, continues a migration that has succeeded.
 */
export function isOlderRecord({ state, spec }: Recorded, outputs: Properties): boolean {
  const before = inputsWithin(outputs);
  if (!before || hasEnded(state) || statusWithin(outputs)?.state !== "Succeeded") return false;
  return spec.migrationOption === before.migrationOption && haveSameMembers(spec.dbsToMigrate, before.dbsToMigrate);
}

/** The applications use the migrated databases since then, and another attempt would replace them. */
export const olderRecord = ({ name, state }: Recorded): RefusedError =>
  new RefusedError(
    `the record of ${name} on the target is older than this state: it is ${state}, although the migration has succeeded. It may come from a backup`,
    { remedy: `remove the record, which keeps the migrated databases: pg-migration delete --name ${name}` },
  );
