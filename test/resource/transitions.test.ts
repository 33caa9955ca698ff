import assert from "node:assert/strict";
import { parseInputs } from "../../provider/src/inputs/check-inputs";
import { impossibleTransitions } from "../../provider/src/resource/transitions";
import type { MigrationStatus } from "../../provider/src/status";

describe("changes that a migration's state forbids", () => {
  const [source, target] = ["s", "t"].map((host) => ({ host, user: "u", password: "p" }));
  const inputs = (changes: Record<string, unknown>) =>
    parseInputs({
      ...{ migrationName: "m", source, target, migrationMode: "Online", dbsToMigrate: ["kept", "canceled", "open"] },
      ...{ rollback: "keep", triggerCutover: true, dbsToTriggerCutoverOn: ["kept"] },
      ...changes,
    });
  const status = {
    ...{ state: "WaitingForUserAction", worker: { state: "running" } },
    currentSubStateDetails: {
      currentSubState: "WaitingForCutoverTrigger",
      dbDetails: {
        kept: { migrationOperation: "rollingBack", rollbackReplication: { state: "following" } },
        canceled: { migrationOperation: "canceled" },
        open: { migrationOperation: "following" },
      },
    },
  } as unknown as MigrationStatus;
  const cancelAll = { cancel: true, triggerCutover: false, dbsToTriggerCutoverOn: [] };
  const cancel = (...dbsToCancelMigrationOn: string[]) => ({ cancel: true, dbsToCancelMigrationOn });

  for (const [title, before, after, refused] of [
    ["a cancellation of one that is open is possible", {}, cancel("open"), []],
    ["a cancellation of one that was cut over is not", {}, cancel("kept"), ["cancel"]],
    ["a cancellation of all is not", {}, cancelAll, ["cancel"]],
    ["the same after an earlier cancellation: of one", cancel("canceled"), cancel("canceled", "kept"), ["cancel"]],
    ["the same after an earlier cancellation: of all", cancel("canceled"), cancelAll, ["cancel"]],
    ["a cancellation that stays is possible", cancel("canceled"), cancel("canceled"), []],
  ] as const) {
    it(title, () => {
      const found = impossibleTransitions({ before: inputs(before), after: inputs(after) }, status);
      assert.deepEqual(
        found.map(({ property }) => property),
        refused,
      );
      if (refused.length > 0) assert.match(found[0]!.reason, /^kept has been cut over/);
    });
  }

  for (const [migrationMode, refused] of [
    ["Offline", []],
    ["Online", ["exclude"]],
  ] as const)
    it(`after a failure in the clean-up, ${migrationMode}: ${refused.join() || "none"}`, () => {
      const one = {
        ...{ migrationMode, rollback: undefined, triggerCutover: undefined },
        dbsToTriggerCutoverOn: undefined,
      };
      const failed = {
        ...{ state: "Failed", worker: { state: "ended" } },
        currentSubStateDetails: {
          currentSubState: "Completed",
          dbDetails: { open: { migrationOperation: "completing" } },
        },
      } as unknown as MigrationStatus;
      const after = inputs({ ...one, exclude: { tables: ["t"] } });
      const found = impossibleTransitions({ before: inputs(one), after }, failed);
      assert.deepEqual(
        found.map(({ property }) => property),
        refused,
      );
    });
});
