import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { MigrationConfig } from "../config/lab-schema";
import { LabError } from "../lab-error";

const databaseSchema = z.looseObject({ migrationState: z.string().nullish(), message: z.string().nullish() });

const statusSchema = z.looseObject({
  state: z.string(),
  error: z.string().nullish(),
  currentSubStateDetails: z
    .looseObject({
      currentSubState: z.string().nullish(),
      dbDetails: z.record(z.string(), databaseSchema).nullish(),
    })
    .nullish(),
});

/** The answer of Azure Resource Manager for a migration. */
export const migrationAnswer = z.object({ properties: z.object({ currentStatus: statusSchema }) });

/** The `currentStatus` of Microsoft's migration service. */
export type AzureMigrationStatus = z.output<typeof statusSchema>;

/** The settings that decide when a migration is complete. */
export type MigrationRequest = Pick<
  MigrationConfig,
  "name" | "databases" | "cancel" | "triggerCutover" | "dbsToTriggerCutoverOn"
>;

/** Microsoft's service ended the migration without success. */
export class AzureMigrationFailedError extends LabError {}

const pollMs = 5_000;

/**
 * Polls a migration until it succeeds or waits for the user. It has no deadline, because a copy can take days, and logs
 * each new state.
 *
 * @throws AzureMigrationFailedError if the migration failed, or was canceled without `cancel`
 */
export async function waitForMigration(
  request: MigrationRequest,
  readStatus: () => Promise<AzureMigrationStatus>,
  { log, intervalMs = pollMs }: { readonly log: (message: string) => void; readonly intervalMs?: number },
): Promise<AzureMigrationStatus> {
  let logged = "";
  for (;;) {
    const status = await readStatus();
    if (isSettled(status, request)) return status;
    const message = `migration ${request.name}: ${describe(status)}`;
    if (message !== logged) log(message);
    logged = message;
    await sleep(intervalMs);
  }
}

/** @throws AzureMigrationFailedError */
function isSettled(status: AzureMigrationStatus, request: MigrationRequest): boolean {
  switch (status.state) {
    case "Succeeded":
      return true;
    case "Failed":
    case "ValidationFailed":
      throw failure(status, request);
    case "Canceled":
      if (request.cancel) return true;
      throw failure(status, request);
    case "WaitingForUserAction":
      return !isCutoverPending(status, request);
    default:
      return false;
  }
}

/** Azure reports the old state for a moment after it accepted a cutover. */
function isCutoverPending(status: AzureMigrationStatus, request: MigrationRequest): boolean {
  if (!request.triggerCutover || request.cancel) return false;
  if (status.currentSubStateDetails?.currentSubState !== "WaitingForCutoverTrigger") return false;
  const databases = status.currentSubStateDetails.dbDetails ?? {};
  const ended = ["Succeeded", "Failed", "Canceled"];
  return (request.dbsToTriggerCutoverOn ?? request.databases).some(
    (name) => !ended.includes(databases[name]?.migrationState ?? ""),
  );
}

function failure(status: AzureMigrationStatus, { name }: MigrationRequest): AzureMigrationFailedError {
  const messages = Object.entries(status.currentSubStateDetails?.dbDetails ?? {})
    .filter(([, { message }]) => message)
    .map(([database, { message }]) => `\n  ${database}: ${message ?? ""}`);
  return new AzureMigrationFailedError(
    `migration ${name} ended as ${status.state}${status.error ? `: ${status.error}` : ""}${messages.join("")}\n` +
      "To start another one, set migration.name to a new name.",
  );
}

function describe({ state, currentSubStateDetails }: AzureMigrationStatus): string {
  const subState = currentSubStateDetails?.currentSubState;
  return subState ? `${state} (${subState})` : state;
}
