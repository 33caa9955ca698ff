import type { MigrationSpec } from "../inputs/inputs.js";
import { hasEnded, type MigrationStatus, type MigrationSubState } from "../status.js";

export interface Phase {
  readonly name: string;
  /** `stopped`: where a migration failed or was canceled. */
  readonly stage: "done" | "current" | "stopped" | "ahead";
}

type Kind = Pick<MigrationSpec, "migrationMode" | "migrationOption">;

/** The phases of a migration. A waiting substate that belongs to no phase counts as preparation. */
export function phasesOf(kind: Kind, { state, currentSubStateDetails }: Partial<MigrationStatus>): Phase[] {
  const steps = stepsOf(kind);
  const hasStopped = state !== undefined && hasEnded(state) && state !== "Succeeded";
  const subState = hasStopped ? currentSubStateDetails?.reachedSubState : currentSubStateDetails?.currentSubState;
  const found = steps.findIndex(({ subStates }) => subStates.some((one) => one === subState));
  const current = state === "Succeeded" ? steps.length : Math.max(0, found);
  const names = [...steps.map(({ name }) => name), state === "Succeeded" ? state : "Done"];
  return names.map((name, i) => ({ name, stage: stageOf(i, current, hasStopped) }));
}

function stageOf(index: number, current: number, hasStopped: boolean): Phase["stage"] {
  if (index === current) return hasStopped ? "stopped" : "current";
  return index < current ? "done" : "ahead";
}

interface Step {
  readonly name: string;
  readonly subStates: readonly MigrationSubState[];
}

function stepsOf({ migrationMode, migrationOption }: Kind): Step[] {
  const moves = migrationOption !== "Validate";
  const follows = moves && migrationMode === "Online";
  return [
    { name: "Prepare", subStates: ["PerformingPreRequisiteSteps"] },
    ...(migrationOption === "Migrate" ? [] : [step("Validate", "ValidationInProgress")]),
    ...(moves ? [step("Copy", "MigratingData")] : []),
    ...(follows ? [follow, cutOver] : []),
  ];
}

const step = (name: string, subState: MigrationSubState): Step => ({ name, subStates: [subState] });

const follow: Step = { name: "Follow", subStates: ["WaitingForCutoverTrigger", "WaitingForCutoverWindow"] };

const cutOver: Step = { name: "Cut over", subStates: ["CompletingMigration", "WaitingForRollbackDecision"] };

const sentences: Readonly<Record<MigrationSubState, string>> = {
  PerformingPreRequisiteSteps: "Preparing",
  ValidationInProgress: "Validating both servers",
  WaitingForLogicalReplicationSetupRequestOnSourceDB: "Waiting until logical replication is set up on the source",
  WaitingForDBsToMigrateSpecification: "Waiting for the list of databases to migrate",
  WaitingForTargetDBOverwriteConfirmation: "Waiting for permission to overwrite databases on the target",
  WaitingForDataMigrationScheduling: "Waiting to be started",
  WaitingForDataMigrationWindow: "Waiting for the migration window",
  MigratingData: "Copying",
  WaitingForCutoverTrigger: "Everything is copied; changes are applied until the cutover",
  WaitingForCutoverWindow: "Everything is copied; changes are applied until the cutover window",
  CompletingMigration: "Cutting over",
  WaitingForRollbackDecision: "Cut over; the source is kept up to date until you decide whether to return to it",
  CancelingRequestedDBMigrations: "Canceling",
  Completed: "",
};

/** Explains a substate to the person who has to act on it; empty at the end. */
export const sentenceOf = (subState: MigrationSubState | undefined): string =>
  subState === undefined ? "" : sentences[subState];
