import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { Semaphore } from "../../../provider/src/async/semaphore";
import type { OnlineVerification } from "../../../provider/src/status";
import type { RequestWatch } from "../../../provider/src/worker/context/watch-requests";
import { RequestedVerifications } from "../../../provider/src/worker/run/requested-verifications";
import type { FollowedDatabase } from "../../../provider/src/worker/streaming/followed-database";

describe("the verifications that a migration requests", () => {
  /** Requests `monday`. Returns what was compared. */
  const begin = (slots: Semaphore, last?: OnlineVerification) => {
    const compared: string[] = [];
    const verify = (requestedBy: string) => {
      compared.push(requestedBy);
      return Promise.resolve({ requestedBy, state: "equal", startedOn: "" });
    };
    const verifications = new RequestedVerifications({
      requests: { spec: { verifyNow: "monday" } } as unknown as RequestWatch,
      database: { verify } as unknown as FollowedDatabase,
      ...{ last, slots, isDueBeforeCutover: () => false },
    });
    return { verifications, compared };
  };

  it("leave the queue when the cutover window opens", async () => {
    const slots = new Semaphore(() => 1);
    let endOther = (): void => undefined;
    const other = slots.run(() => new Promise<void>((resolve) => (endOther = resolve)));
    const { verifications, compared } = begin(slots);
    await setImmediate();
    // Without waiting for the comparison of the other database.
    await Promise.race([verifications.finish(), verifications.failure]);
    endOther();
    await other;
    await setImmediate();
    await verifications.close();
    assert.deepEqual(compared, []);
  });

  for (const [requestedBy, answers, expected] of [
    ["monday", undefined, []],
    ["beforeCutover", "monday", []],
    ["beforeCutover", "sunday", ["monday"]],
    ["beforeCutover", undefined, ["monday"]],
  ] as const)
    it(`${expected.length > 0 ? "run" : "do not run again"} after ${requestedBy}${answers ? ` that answers ${answers}` : ""}`, async () => {
      const last = { requestedBy, ...(answers && { answers }), state: "equal", startedOn: "" } as const;
      const { verifications, compared } = begin(new Semaphore(() => 1), last);
      await setImmediate();
      await verifications.close();
      assert.deepEqual(compared, expected);
    });
});
