import { RefusedError } from "../../errors.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import { isComplete } from "../../store/records.js";
import { statusWithin, type Properties } from "../state.js";

/** What is compared of a record. */
export interface Recorded {
  readonly spec: Pick<MigrationSpec, "migrationName" | "migrationOption">;
  readonly databases: readonly { readonly name: string; readonly phase: string }[];
}

/**
 * The databases that were complete according to these outputs, and are not according to the record: it was restored from a backup
 * of the time before that. Nothing else takes a complete database back.
 */
function takenBack({ spec, databases }: Recorded, outputs: Properties): string[] {
  const known = statusWithin(outputs)?.currentSubStateDetails.dbDetails ?? {};
  // A validation also ends with success.
  if (spec.migrationOption === "Validate" || outputs.migrationOption === "Validate") return [];
  return databases
    .filter(({ name, phase }) => known[name]?.migrationState === "Succeeded" && !isComplete(phase))
    .map(({ name }) => name);
}

/** The error for a record that is older than these outputs. Applications use the databases, which another attempt would replace. */
export function olderRecord(record: Recorded, outputs: Properties): RefusedError | undefined {
  const databases = takenBack(record, outputs).join(", ");
  const { migrationName } = record.spec;
  if (databases === "") return undefined;
  return new RefusedError(
    `the record of ${migrationName} on the target is older than this state: it lacks the end of the migration of ${databases}. It may come from a backup`,
    { remedy: `remove the record, which keeps the migrated databases: pg-migration delete --name ${migrationName}` },
  );
}
