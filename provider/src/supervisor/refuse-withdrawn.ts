import { RefusedError } from "../errors.js";
import type { Inputs } from "../inputs/inputs.js";
import { hasDatabaseEnded, hasEnded, type DatabaseDetails, type MigrationStatus } from "../status.js";
import { allDatabases, type Asked, type RequestKind } from "../store/requests.js";

/** What an operation requested, and waits for. */
export type Requested = Pick<
  Inputs,
  "triggerCutover" | "dbsToTriggerCutoverOn" | "cancel" | "dbsToCancelMigrationOn" | "rollback" | "waitFor"
>;

/**
 * Refuses to wait for a request that another operation has withdrawn: the migration would wait for the user forever. A cutover
 * or cancellation that the worker has begun continues, and is waited for.
 *
 * @throws RefusedError naming what was withdrawn, and the databases
 * @example refuseWithdrawn(status, inputs, await readAsked(store, inputs.migrationName));
 */
export function refuseWithdrawn(status: MigrationStatus, requested: Requested, asked: Asked): void {
  const databases = Object.values(status.currentSubStateDetails.dbDetails);
  const lacks = (kind: RequestKind, { databaseName }: DatabaseDetails): boolean =>
    !asked.requests.some((one) => one.kind === kind && [databaseName, allDatabases].includes(one.database));
  const refuse = (what: string, open: readonly DatabaseDetails[]): void => {
    if (open.length > 0) throw withdrawn(what, open);
  };
  if (requested.cancel && !hasEnded(status.state) && status.state !== "CleaningUp")
    refuse(
      "cancellation",
      databases.filter((one) => isWanted(requested.dbsToCancelMigrationOn, one) && isOpen(one) && lacks("cancel", one)),
    );
  const waitsForLess = requested.waitFor === "started" || requested.waitFor === "cutoverReady";
  if (!requested.triggerCutover || waitsForLess) return;
  refuse(
    "cutover",
    databases.filter(
      (one) =>
        isWanted(requested.dbsToTriggerCutoverOn, one) &&
        isBeforeCutover(one) &&
        lacks("cutover", one) &&
        lacks("cancel", one),
    ),
  );
  const isUndecided = ({ rollbackReplication }: DatabaseDetails): boolean =>
    rollbackReplication !== undefined && rollbackReplication.state !== "returning";
  if (requested.rollback !== "keep" && asked.rollback === "keep")
    refuse(`decision to ${requested.rollback} the rollback replication`, databases.filter(isUndecided));
}

const isWanted = (listed: readonly string[], { databaseName }: DatabaseDetails): boolean =>
  listed.length === 0 || listed.includes(databaseName);

const isOpen = ({ migrationState }: DatabaseDetails): boolean =>
  !hasDatabaseEnded(migrationState) && migrationState !== "Canceling";

const isBeforeCutover = ({ migrationState, migrationOperation }: DatabaseDetails): boolean =>
  migrationState === "WaitingForCutoverTrigger" ||
  (migrationState === "InProgress" && (migrationOperation === "queued" || migrationOperation === "copying"));

const withdrawn = (what: string, databases: readonly DatabaseDetails[]): RefusedError =>
  new RefusedError(
    `the ${what} of ${databases.map(({ databaseName }) => databaseName).join(", ")} was withdrawn by another update while this operation waited for it`,
    {
      remedy: "the migration continues without it; to request it again, run pulumi up once no other update is running",
    },
  );
