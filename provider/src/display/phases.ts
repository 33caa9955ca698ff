import type { Wish } from "../inputs/inputs.js";
import type { MigrationState, MigrationSubState } from "../status.js";

export interface Phase {
  readonly name: string;
  readonly stage: "done" | "current" | "ahead";
}

type Kind = Pick<Wish, "migrationMode" | "migrationOption">;

/** What a migration goes through, and where it is; a waiting substate that is none of these counts as preparation. */
export function phasesOf(
  kind: Kind,
  state: MigrationState | undefined,
  subState: MigrationSubState | undefined,
): Phase[] {
  const steps = stepsOf(kind);
  const isEnd = subState === "Completed";
  const found = steps.findIndex(({ subStates }) => subStates.some((one) => one === subState));
  const current = isEnd ? steps.length : Math.max(0, found);
  const names = [...steps.map(({ name }) => name), isEnd ? (state ?? "Done") : "Done"];
  const isDone = (i: number): boolean => (isEnd ? state === "Succeeded" : i < current);
  return names.map((name, i) => ({ name, stage: i === current ? "current" : isDone(i) ? "done" : "ahead" }));
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
    ...(follows ? [step("Follow", "WaitingForCutoverTrigger"), cutOver] : []),
  ];
}

const step = (name: string, subState: MigrationSubState): Step => ({ name, subStates: [subState] });

const cutOver: Step = { name: "Cut over", subStates: ["CompletingMigration", "WaitingForRollbackDecision"] };

const sentences: Readonly<Record<MigrationSubState, string>> = {
  PerformingPreRequisiteSteps: "Getting ready",
  ValidationInProgress: "Looking at both servers",
  WaitingForLogicalReplicationSetupRequestOnSourceDB: "Waiting: the source cannot be followed yet",
  WaitingForDBsToMigrateSpecification: "Waiting for its databases to be named",
  WaitingForTargetDBOverwriteConfirmation: "Waiting: may databases on the target be replaced?",
  WaitingForDataMigrationScheduling: "Waiting to be started",
  WaitingForDataMigrationWindow: "Waiting for its window to open",
  MigratingData: "Copying",
  WaitingForCutoverTrigger: "All is copied; following the source until you cut over",
  CompletingMigration: "Cutting over",
  WaitingForRollbackDecision: "Cut over; the source is kept as the target is, until you return or drop that",
  CancelingRequestedDBMigrations: "Canceling",
  Completed: "",
};

/** What a substate means to whoever has to act on it; empty at the end. */
export const sentenceOf = (subState: MigrationSubState | undefined): string =>
  subState === undefined ? "" : sentences[subState];
