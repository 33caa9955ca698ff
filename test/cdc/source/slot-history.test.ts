import assert from "node:assert/strict";
import { migrationRoles } from "../../../provider/src/cdc/model/stream-roles";
import { SlotHistory } from "../../../provider/src/cdc/source/slot-history";
import { RefusedError } from "../../../provider/src/errors";

describe("SlotHistory", () => {
  const committedAtMs = Date.UTC(2026, 0, 1);
  const committed = { lastCommitEndLsn: 200n, commitTime: new Date(committedAtMs), appliedThroughLsn: 300n };
  const historyOf = (progress: ConstructorParameters<typeof SlotHistory>[0] = committed): SlotHistory =>
    new SlotHistory(progress, { name: "slot", parts: migrationRoles });
  const commit = (endLsn: bigint, commitTimeMs = committedAtMs) => ({ kind: "commit", endLsn, commitTimeMs }) as const;

  it("is verified without messages if the slot begins at the target's position", () => {
    const history = historyOf();
    history.begin(300n);
    assert(history.isVerified);
  });

  it("is verified by the last transaction, after everything up to the target's position was sent", () => {
    const history = historyOf();
    history.begin(100n);
    history.add(commit(150n, committedAtMs - 1));
    // The progress row has milliseconds, the stream microseconds.
    history.add(commit(200n, committedAtMs + 0.999));
    assert(!history.isVerified);
    history.end();
    assert(history.isVerified);
  });

  it("is verified without a transaction if the slot begins after the last one, or there was none", () => {
    for (const progress of [committed, { ...committed, commitTime: undefined }]) {
      const history = historyOf(progress);
      history.begin(200n);
      history.end();
      assert(history.isVerified);
    }
  });

  it("is not verified before the slot's position is known", () => {
    const history = historyOf();
    history.end();
    assert(!history.isVerified);
    assert.throws(() => history.begin(100n), /ends at 0\/C8, but the source has no such transaction/);
  });

  const lacksLast = /the last transaction on the target ends at 0\/C8, but the source has no such transaction/;
  const hasMore = /a transaction of the source ends at 0\/FA, which the target does not have/;
  for (const [difference, beginsAt, messages, expected] of [
    ["lacks the last transaction", 100n, [commit(150n)], lacksLast],
    ["has another transaction at its position", 100n, [commit(200n, committedAtMs + 2)], lacksLast],
    ["has a transaction after it", 100n, [commit(200n), commit(250n)], hasMore],
    ["has a transaction after it, and the slot begins later", 200n, [commit(250n)], hasMore],
  ] as const)
    it(`throws if the source ${difference}`, () => {
      const history = historyOf();
      history.begin(beginsAt);
      for (const message of messages) history.add(message);
      assert.throws(
        () => history.end(),
        (error: Error) => error instanceof RefusedError && expected.test(error.message),
      );
      assert(!history.isVerified);
    });
});
