import assert from "node:assert/strict";
import { parseInputs } from "../../provider/src/inputs/check-inputs";
import type { DatabaseState, MigrationState, MigrationStatus, MigrationSubState } from "../../provider/src/status";
import { goalOf } from "../../provider/src/supervisor/wait-target";

const waiting = ["WaitingForUserAction", "WaitingForCutoverTrigger"] as const;
const kept = ["WaitingForUserAction", "WaitingForRollbackDecision"] as const;
const completing = ["InProgress", "CompletingMigration"] as const;

describe("what an operation waits for where a database has failed", () => {
  const [source, target] = ["s", "t"].map((host) => ({ host, user: "u", password: "p" }));
  const inputs = (changes: Record<string, unknown>) =>
    parseInputs({
      ...{ migrationName: "m", source, target, migrationMode: "Online", dbsToMigrate: ["a", "b"] },
      ...changes,
    });

  const statusOf = (
    [state, currentSubState]: readonly [MigrationState, MigrationSubState],
    databases: Readonly<Record<string, DatabaseState | "kept">>,
  ): MigrationStatus =>
    ({
      ...{ state, error: "a: why", worker: { state: "running" } },
      currentSubStateDetails: {
        currentSubState,
        dbDetails: Object.fromEntries(
          Object.entries(databases).map(([databaseName, is]) => [
            databaseName,
            is === "kept"
              ? { databaseName, migrationState: "Succeeded", rollbackReplication: { state: "following" } }
              : { databaseName, migrationState: is },
          ]),
        ),
      },
    }) as unknown as MigrationStatus;

  const ready = "WaitingForCutoverTrigger";
  const cutover = (...dbsToTriggerCutoverOn: string[]) => ({ triggerCutover: true, dbsToTriggerCutoverOn });

  for (const [what, changes, status, isUnreachable] of [
    ["has not come while the others are copied", {}, [["InProgress", "MigratingData"], "InProgress"], false],
    ["is over when the others are followed", {}, [waiting, ready], true],
    ["is over where it was to be cut over itself", cutover("a"), [waiting, ready], true],
    ["has not come while another is to be cut over", cutover("b"), [waiting, ready], false],
    ["nor while it is", cutover(), [completing, "InProgress"], false],
    ["is over when its way back is kept", { ...cutover(), rollback: "keep" }, [kept, "kept"], true],
    ["has not come while it is returned from", { ...cutover(), rollback: "return" }, [kept, "kept"], false],
    ["is over when somebody else has to cut over", { waitFor: "succeeded" }, [waiting, ready], true],
    ["has not come while another is verified", { verifyNow: "x" }, [waiting, ready], false],
    ["nor while another is canceled", { cancel: true, dbsToCancelMigrationOn: ["b"] }, [waiting, ready], false],
  ] as const) {
    it(what, () => {
      const goal = goalOf(inputs(changes));
      const [whole, other] = status;
      assert.equal(goal.isReached(statusOf(whole, { a: "Failed", b: other })), false);
      assert.equal(goal.isUnreachable(statusOf(whole, { a: "Failed", b: other })), isUnreachable);
      assert.equal(goal.isUnreachable(statusOf(whole, { a: "InProgress", b: other })), false);
    });
  }

  it("has not come before the migration says why, or has ended by it", () => {
    const { isUnreachable, isReached } = goalOf(inputs({}));
    for (const databases of [{ a: "Failed" }, { a: "Failed", b: ready }] as const) {
      const status = statusOf(waiting, databases);
      const untold = { ...status, error: undefined } as unknown as MigrationStatus;
      assert.deepEqual([isReached(untold), isUnreachable(untold), isUnreachable(status)], [false, false, true]);
    }
  });
});
