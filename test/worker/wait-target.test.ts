import assert from "node:assert/strict";
import { parseInputs } from "../../provider/src/inputs/check-inputs";
import type { DatabaseState, MigrationState, MigrationStatus, MigrationSubState } from "../../provider/src/status";
import { refuseWithdrawn } from "../../provider/src/supervisor/refuse-withdrawn";
import { goalFromInputs } from "../../provider/src/supervisor/wait-target";

const waiting = ["WaitingForUserAction", "WaitingForCutoverTrigger"] as const;
const kept = ["WaitingForUserAction", "WaitingForRollbackDecision"] as const;
const completing = ["InProgress", "CompletingMigration"] as const;

describe("the goal of an operation, when a database has failed,", () => {
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

  for (const [title, changes, status, isUnreachable] of [
    ["stays reachable while the others are copied", {}, [["InProgress", "MigratingData"], "InProgress"], false],
    ["is unreachable when the others are replicating", {}, [waiting, ready], true],
    ["is unreachable if the failed database should be cut over", cutover("a"), [waiting, ready], true],
    ["stays reachable while another database waits for its cutover", cutover("b"), [waiting, ready], false],
    ["stays reachable during the cutover of another database", cutover(), [completing, "InProgress"], false],
    [
      "is unreachable when the other has its rollback replication",
      { ...cutover(), rollback: "keep" },
      [kept, "kept"],
      true,
    ],
    [
      "stays reachable while the other returns to the source",
      { ...cutover(), rollback: "return" },
      [kept, "kept"],
      false,
    ],
    [
      "is unreachable if it waits for a cutover that was not requested",
      { waitFor: "succeeded" },
      [waiting, ready],
      true,
    ],
    ["stays reachable while another database is verified", { verifyNow: "x" }, [waiting, ready], false],
    [
      "stays reachable while another database is being canceled",
      { cancel: true, dbsToCancelMigrationOn: ["b"] },
      [waiting, ready],
      false,
    ],
  ] as const) {
    it(title, () => {
      const goal = goalFromInputs(inputs(changes));
      const [whole, other] = status;
      assert.equal(goal.isReached(statusOf(whole, { a: "Failed", b: other })), false);
      assert.equal(goal.isUnreachable(statusOf(whole, { a: "Failed", b: other })), isUnreachable);
      assert.equal(goal.isUnreachable(statusOf(whole, { a: "InProgress", b: other })), false);
    });
  }

  it("is reached when a comparison before the cutover has replaced the result of the verification", () => {
    const { isReached } = goalFromInputs(inputs({ verifyNow: "monday" }));
    const replacedBy = (state: string): MigrationStatus => {
      const status = statusOf(waiting, { a: ready });
      const verification = { requestedBy: "beforeCutover", answers: "monday", state };
      Object.assign(status.currentSubStateDetails.dbDetails.a!, { verification });
      return status;
    };
    assert.deepEqual([isReached(replacedBy("running")), isReached(replacedBy("equal"))], [false, true]);
  });

  it("stays reachable until the migration reports the error", () => {
    const { isUnreachable, isReached } = goalFromInputs(inputs({}));
    for (const databases of [{ a: "Failed" }, { a: "Failed", b: ready }] as const) {
      const status = statusOf(waiting, databases);
      const withoutError = { ...status, error: undefined } as unknown as MigrationStatus;
      assert.deepEqual(
        [isReached(withoutError), isUnreachable(withoutError), isUnreachable(status)],
        [false, false, true],
      );
    }
  });

  for (const [title, changes] of [
    ["is not reached while a retried stream opens and another database waits", {}],
    ["is not reached while a retried stream opens after the cutover of another database", cutover("b")],
  ] as const) {
    it(title, () => {
      const { isReached } = goalFromInputs(inputs(changes));
      const status = statusOf(waiting, { a: "InProgress", b: "Succeeded", c: ready });
      assert.equal(isReached(status), true, "the copy of a is not waited for");
      Object.assign(status.currentSubStateDetails.dbDetails.a!, { migrationOperation: "following" });
      assert.equal(isReached(status), false);
    });
  }

  it("is not reached before the rollback replication of a named database is dropped", () => {
    const { isReached } = goalFromInputs(inputs({ ...cutover("b"), rollback: "drop" }));
    assert.equal(isReached(statusOf(kept, { a: ready, b: "kept" })), false);
    assert.equal(isReached(statusOf(waiting, { a: ready, b: "Succeeded" })), true);
  });

  for (const [title, changes, b] of [
    ["one of its databases is canceled before its cutover", cutover("a", "b"), "Succeeded"],
    ["its only database is canceled before its cutover", cutover("a"), ready],
  ] as const)
    it(`is reached when ${title}`, () => {
      const { isReached } = goalFromInputs(inputs({ ...changes, cancel: true, dbsToCancelMigrationOn: ["a"] }));
      assert.equal(isReached(statusOf(waiting, { a: "Canceling", b, c: ready })), false);
      assert.equal(isReached(statusOf(waiting, { a: "Canceled", b, c: ready })), true);
    });

  const returning = { ...cutover(), rollback: "return" };
  const keeping = { rollback: "keep", verifyNow: undefined };
  for (const [title, changes, other, asked, expected] of [
    ["refuses a withdrawn cutover", cutover(), ready, [], /the cutover of b was withdrawn/],
    ["waits for a cutover that has begun", cutover(), "InProgress", [], undefined],
    ["waits for the cutover of another database", cutover("a"), ready, [], undefined],
    ["waits while the cutover is requested for each database", cutover(), ready, ["cutover b"], undefined],
    ["refuses a withdrawn cancellation", { cancel: true }, ready, [], /the cancellation of b was withdrawn/],
    ["waits for a cancellation that has begun", { cancel: true }, "Canceling", [], undefined],
    ["refuses a withdrawn return", returning, "kept", ["cutover "], /the decision to return .* of b was withdrawn/],
  ] as const) {
    it(title, () => {
      const requests = asked.map((one) => {
        const [kind, database] = one.split(" ") as ["cutover", string];
        return { kind, database };
      });
      const status = statusOf(["InProgress", "CompletingMigration"], { b: other });
      const refuse = (): void => refuseWithdrawn(status, inputs(changes), { ...keeping, requests });
      if (expected) assert.throws(refuse, expected);
      else assert.doesNotThrow(refuse);
    });
  }
});
