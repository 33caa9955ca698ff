import type { MigrationSubState } from "../../../status.js";

/** A change of the migration that a button requests after a confirmation. */
export interface PageAction {
  /** Part of the API's path. */
  readonly path: string;
  readonly label: string;
  readonly agree: string;
  /** When the button is shown. */
  readonly subState: MigrationSubState;
  readonly lines: readonly string[];
  readonly query?: () => URLSearchParams;
}

/** The buttons beside those for cutover and cancel. */
export const pageActions: readonly PageAction[] = [
  {
    path: "verify",
    label: "Verify now",
    agree: "Compare all rows",
    subState: "WaitingForCutoverTrigger",
    lines: ["The worker compares every row at one point in time while applications write. It reads all tables."],
  },
  {
    path: "rollback-keep",
    label: "Keep a rollback",
    agree: "Keep a rollback",
    subState: "WaitingForCutoverTrigger",
    lines: ["After the cutover, the changes of the target are applied to the source until you return or drop it."],
  },
  {
    path: "rollback-return",
    label: "Return to the source",
    agree: "Return now",
    subState: "WaitingForRollbackDecision",
    lines: [
      "Stop all applications that write to the target first.",
      "The worker applies all changes of the target to the source, and the migration is canceled. This cannot be undone.",
    ],
  },
  {
    path: "rollback-drop",
    label: "Drop the rollback",
    agree: "Drop it now",
    subState: "WaitingForRollbackDecision",
    lines: ["The source no longer receives the changes of the target. You cannot return to it. This cannot be undone."],
  },
  {
    path: "setup-replication",
    label: "Set up replication",
    agree: "Change the source's settings",
    subState: "WaitingForLogicalReplicationSetupRequestOnSourceDB",
    lines: ["The worker changes settings of the source. Afterwards the source must be restarted."],
  },
  {
    path: "overwrite",
    label: "Overwrite databases",
    agree: "Drop and replace them",
    subState: "WaitingForTargetDBOverwriteConfirmation",
    lines: ["The worker drops the databases of these names on the target, with all their data. This cannot be undone."],
  },
  {
    path: "start",
    label: "Start copying",
    agree: "Start now",
    subState: "WaitingForDataMigrationScheduling",
    lines: ["The worker starts to copy the databases."],
  },
  {
    path: "window",
    label: "Open the window now",
    agree: "Start now",
    subState: "WaitingForDataMigrationWindow",
    lines: ["The migration window starts now, and the worker copies the databases."],
    query: () => new URLSearchParams({ start: new Date().toISOString() }),
  },
];

/** All databases are requested without names, so that the request also concerns those that are not ready yet. */
export const databasesQuery = (chosen: readonly string[], all: readonly string[]): URLSearchParams =>
  new URLSearchParams(chosen.length === all.length ? [] : chosen.map((name) => ["database", name]));
