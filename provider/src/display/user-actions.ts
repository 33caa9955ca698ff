import type { MigrationStatus, MigrationSubState } from "../status.js";
import { shellWord } from "../units/shell-word.js";

/** What ends a wait: inputs of the resource, and options of `pg-migration update`. */
interface UserAction {
  readonly inputs: string;
  readonly options: string;
}

const actions: Readonly<Partial<Record<MigrationSubState, UserAction>>> = {
  WaitingForLogicalReplicationSetupRequestOnSourceDB: {
    inputs: "set setupLogicalReplicationOnSourceDbIfNeeded to true",
    options: "--setup-replication",
  },
  WaitingForDBsToMigrateSpecification: {
    inputs: "list the databases in dbsToMigrate",
    options: "--databases NAME...",
  },
  WaitingForTargetDBOverwriteConfirmation: {
    inputs: "set overwriteDbsInTarget to true, drop the databases on the target",
    options: "--overwrite",
  },
  WaitingForDataMigrationScheduling: { inputs: "set startDataMigration to true", options: "--start" },
  WaitingForDataMigrationWindow: {
    inputs: "wait, set migrationWindowStartTimeInUtc to another time",
    options: "--window-start TIME",
  },
  WaitingForCutoverTrigger: { inputs: "set triggerCutover to true", options: "--cutover" },
  WaitingForCutoverWindow: {
    inputs: "wait, set cutoverWindow to another window, or remove it to cut over now",
    options: "--cutover-window START/END",
  },
  WaitingForRollbackDecision: {
    inputs: "set rollback to return to go back to the source, or to drop to keep the target",
    options: "--rollback return, or --rollback drop",
  },
};

/** What the user can do in a substate, in the words of the resource and of the command. */
export function userAction(subState: MigrationSubState | undefined): string | undefined {
  const action = subState && actions[subState];
  return action && `To do: ${action.inputs}, or run pg-migration update with ${action.options}.`;
}

/** The command that ends a wait. Once some databases are cut over or canceled, it names the others. */
export function nextCommand(
  { currentSubState, dbDetails }: MigrationStatus["currentSubStateDetails"],
  name: string,
): string | undefined {
  const action = actions[currentSubState];
  if (!action) return undefined;
  const databases = Object.values(dbDetails);
  const waiting = databases.filter(({ migrationState }) => migrationState === "WaitingForCutoverTrigger");
  const isPartial = currentSubState === "WaitingForCutoverTrigger" && waiting.length < databases.length;
  const names = isPartial ? waiting.map(({ databaseName }) => ` ${shellWord(databaseName)}`) : [];
  return `pg-migration update --name ${name} ${action.options}${names.join("")}`;
}
