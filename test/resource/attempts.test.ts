import assert from "node:assert/strict";
import { type Attempts, createWithRetries, updateWithRetries } from "../../provider/src/resource/attempts";
import { MigrationIncompleteError } from "../../provider/src/resource/reach-goal";
import { InvalidInputError, UnreachableError } from "../../provider/src/errors";

const server = { host: "127.0.0.1", user: "u", password: "p" };
const inputs = { migrationName: "crm", source: { ...server, host: "old" }, target: server, dbsToMigrate: ["crm"] };
const id = "127.0.0.1:5432/crm";

const incomplete = (state: string, reason: string): MigrationIncompleteError => {
  const currentStatus = { state, worker: {}, currentSubStateDetails: { dbDetails: {} } };
  return new MigrationIncompleteError(id, { ...inputs, ownershipToken: "t", currentStatus }, reason);
};

describe("attempts of a migration", () => {
  /** Each operation fails with the next error, and succeeds after the last one. */
  function operations(errors: Error[]): Attempts & { readonly calls: string[] } {
    const calls: string[] = [];
    const run = (call: string): Promise<{ id: string; outs: Record<string, unknown> }> => {
      calls.push(call);
      const error = errors.shift();
      return error ? Promise.reject(error) : Promise.resolve({ id, outs: { done: true } });
    };
    const update = (olds: Record<string, unknown>) =>
      run(`update ${olds.ownershipToken === "t" ? "recorded" : "other"}`);
    return { calls, create: () => run("create"), update, note: (line) => calls.push(line), firstPauseMs: 1 };
  }

  it("end with the first failure by default", async () => {
    const all = operations([incomplete("Failed", "no room")]);
    await assert.rejects(createWithRetries(inputs, all), /no room/);
    assert.deepEqual(all.calls, ["create"]);
  });

  it("are repeated, with what the failed attempt recorded, and only if that may help", async () => {
    const all = operations([new UnreachableError("no answer"), incomplete("Failed", "no room")]);
    assert.deepEqual(await createWithRetries({ ...inputs, retries: 2 }, all), { id, outs: { done: true } });
    assert.deepEqual(all.calls, [
      "create",
      "attempt 1 of 3 failed; the next one starts in 0.001 s: no answer",
      "create",
      "attempt 2 of 3 failed; the next one starts in 0.002 s: no room",
      "update recorded",
    ]);
    for (const error of [
      new InvalidInputError([{ property: "source", reason: "is wrong" }]),
      incomplete("ValidationFailed", "wal_level"),
      incomplete("InProgress", "the time limit is reached"),
    ]) {
      const once = operations([error]);
      await assert.rejects(createWithRetries({ ...inputs, retries: 2 }, once));
      assert.deepEqual(once.calls, ["create"]);
    }
  });

  it("keep what an earlier attempt recorded if the last one cannot reach the target", async () => {
    const errors = () => [incomplete("Failed", "no room"), new UnreachableError("no answer")];
    await assert.rejects(createWithRetries({ ...inputs, retries: 1 }, operations(errors())), (error) => {
      assert(error instanceof MigrationIncompleteError);
      assert.deepEqual([error.id, error.properties.ownershipToken, error.message], [id, "t", "no answer"]);
      return true;
    });
    const given = { ...inputs, retries: 1, onFailure: "report" };
    const { outs } = await createWithRetries(given, operations(errors()));
    assert.deepEqual([outs.ownershipToken, outs.failure], ["t", "no answer"]);
  });

  it("report a failure as an output, also of a migration that was never recorded", async () => {
    const given = { ...inputs, onFailure: "report" };
    const failed = await createWithRetries(given, operations([incomplete("Failed", "no room")]));
    assert.deepEqual([failed.id, failed.outs.ownershipToken, failed.outs.failure], [id, "t", "no room"]);
    const absent = await createWithRetries(given, operations([new UnreachableError("no answer")]));
    assert.deepEqual(absent, { id, outs: { ...given, failure: "no answer" } });
    const olds = { ...given, dbsToMigrate: ["old"], ownershipToken: "t" };
    const kept = await updateWithRetries(olds, given, operations([new UnreachableError("no answer")]));
    assert.deepEqual(kept.outs, { ...olds, failure: "no answer" }, "the next operation still has to apply the change");
  });
});
