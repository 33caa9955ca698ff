import assert from "node:assert/strict";
import { nextCommand } from "../../provider/src/display/user-actions";
import type { DatabaseDetails, DatabaseState, MigrationSubState } from "../../provider/src/status";

describe("the next command", () => {
  const next = (currentSubState: MigrationSubState, states: Readonly<Record<string, DatabaseState>>) =>
    nextCommand(
      {
        currentSubState,
        dbDetails: Object.fromEntries(
          Object.entries(states).map(([databaseName, migrationState]) => [
            databaseName,
            { databaseName, migrationState } as DatabaseDetails,
          ]),
        ),
      },
      "crm",
    );
  const ready = "WaitingForCutoverTrigger";

  it("cuts over all databases while none is cut over", () =>
    assert.equal(next(ready, { a: ready, b: ready }), "pg-migration update --name crm --cutover"));

  it("names the remaining databases once one is cut over or canceled", () =>
    assert.equal(
      next(ready, { a: "Succeeded", b: ready, "c d": ready, e: "Canceled" }),
      "pg-migration update --name crm --cutover b 'c d'",
    ));

  it("does not exist while the migration works", () =>
    assert.equal(next("MigratingData", { a: "InProgress" }), undefined));
});
