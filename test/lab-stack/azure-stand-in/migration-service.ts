import { list, type Properties, text } from "./properties";
import type { StoredResource } from "./refusals";

/** Microsoft's migration service: every read of a status is one step of the migration, and copies no data. */
export class MigrationService {
  readonly #steps = new Map<string, number>();

  /** Starts the steps that follow a change of the migration. */
  change(id: string): void {
    this.#steps.set(id, 0);
  }

  /** The `currentStatus`. A source whose host starts with `unreachable` fails. */
  nextStatus({ id, inputs }: StoredResource): Properties {
    const step = this.#steps.get(id) ?? 0;
    this.#steps.set(id, step + 1);
    if (text(inputs, "sourceDbServerResourceId").startsWith("unreachable"))
      return { state: "Failed", error: "603000: connection to the source failed", ...details(inputs, "Failed") };
    if (text(inputs, "cancel") === "True") return { state: "Canceled", ...details(inputs, "Canceled") };
    const hasCutover = text(inputs, "triggerCutover") === "True";
    const isWaiting = text(inputs, "migrationMode") === "Online" && !(hasCutover && step > 0);
    if (isWaiting && (hasCutover || step > 0))
      return { state: "WaitingForUserAction", ...details(inputs, "WaitingForCutoverTrigger") };
    if (step === 0) return { state: "InProgress", ...details(inputs, "InProgress", "MigratingData") };
    return { state: "Succeeded", ...details(inputs, "Succeeded", "Completed") };
  }
}

const details = (inputs: Properties, migrationState: string, currentSubState = migrationState): Properties => ({
  currentSubStateDetails: {
    currentSubState,
    dbDetails: Object.fromEntries(
      list(inputs, "dbsToMigrate")
        .map(String)
        .map((databaseName) => [databaseName, { databaseName, migrationState }]),
    ),
  },
});
