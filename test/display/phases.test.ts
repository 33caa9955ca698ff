import assert from "node:assert/strict";
import { phasesOf } from "../../provider/src/display/phases";
import type { MigrationState, MigrationSubState } from "../../provider/src/status";

const online = { migrationMode: "Online", migrationOption: "ValidateAndMigrate" } as const;

/** Phases as `name stage`, without those ahead. */
function reached(
  state: MigrationState,
  currentSubState: MigrationSubState,
  reachedSubState: MigrationSubState,
): string[] {
  const currentSubStateDetails = { currentSubState, reachedSubState, dbDetails: {} };
  return phasesOf(online, { state, currentSubStateDetails })
    .filter(({ stage }) => stage !== "ahead")
    .map(({ name, stage }) => `${name} ${stage}`);
}

describe("the phases of a migration", () => {
  it("show where a failed migration stopped", () => {
    const copied = ["Prepare done", "Validate done", "Copy stopped"];
    assert.deepEqual(reached("Failed", "Completed", "MigratingData"), copied);
    assert.deepEqual(reached("ValidationFailed", "Completed", "ValidationInProgress"), [
      "Prepare done",
      "Validate stopped",
    ]);
    const followed = ["Prepare done", "Validate done", "Copy done", "Follow stopped"];
    assert.deepEqual(reached("Canceled", "Completed", "WaitingForCutoverTrigger"), followed);
  });

  it("show the current phase of a running migration, and all phases of a successful one as done", () => {
    assert.deepEqual(reached("InProgress", "MigratingData", "MigratingData").at(-1), "Copy current");
    const all = reached("Succeeded", "Completed", "CompletingMigration");
    assert.deepEqual(all.slice(-2), ["Cut over done", "Succeeded current"]);
  });
});
