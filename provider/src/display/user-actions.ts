import type { MigrationSubState } from "../status.js";

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

/** The command that ends a wait. */
export function nextCommand(subState: MigrationSubState, name: string): string | undefined {
  const action = actions[subState];
  return action && `pg-migration update --name ${name} ${action.options}`;
}
