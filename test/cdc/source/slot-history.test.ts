import assert from "node:assert/strict";
import { migrationRoles } from "../../../provider/src/cdc/model/stream-roles";
import { SlotHistory } from "../../../provider/src/cdc/source/slot-history";
import { RefusedError } from "../../../provider/src/errors";

describe("the past that source and target share", () => {
  const committedAtMs = Date.UTC(2026, 0, 1);
  const committed = { lastCommitEndLsn: 200n, commitTime: new Date(committedAtMs), appliedThroughLsn: 300n };
  const pastOf = (progress: ConstructorParameters<typeof SlotHistory>[0] = committed): SlotHistory =>
    new SlotHistory(progress, { name: "slot", parts: migrationRoles });
  const commit = (endLsn: bigint, commitTimeMs = committedAtMs) => ({ kind: "commit", endLsn, commitTimeMs }) as const;

  it("needs no proof where the slot begins where the target is", () => {
    const past = pastOf();
    past.begins(300n);
    assert(past.isKnown);
  });

  it("is proved by the last transaction, once all up to where the target is has come", () => {
    const past = pastOf();
    past.begins(100n);
    past.passes(commit(150n, committedAtMs - 1));
    // The row has milliseconds, the stream more.
    past.passes(commit(200n, committedAtMs + 0.999));
    assert(!past.isKnown);
    past.ends();
    assert(past.isKnown);
  });

  it("is proved by nothing coming where the slot begins behind the last transaction, or there was none", () => {
    for (const progress of [committed, { ...committed, commitTime: undefined }]) {
      const past = pastOf(progress);
      past.begins(200n);
      past.ends();
      assert(past.isKnown);
    }
  });

  it("is known no sooner than where the slot begins", () => {
    const past = pastOf();
    past.ends();
    assert(!past.isKnown);
    assert.throws(() => past.begins(100n), /no transaction of the source ends at 0\/C8/);
  });

  for (const [what, beginsAt, comes, said] of [
    ["lacks the last transaction", 100n, [commit(150n)], /no transaction of the source ends at 0\/C8/],
    ["has another one in its place", 100n, [commit(200n, committedAtMs + 2)], /no transaction of the source ends at/],
    ["has one behind it", 100n, [commit(200n), commit(250n)], /a transaction of the source ends at 0\/FA/],
    ["has one behind it, and the slot begins later", 200n, [commit(250n)], /a transaction of the source ends at 0\/FA/],
  ] as const)
    it(`is another one where the source ${what}`, () => {
      const past = pastOf();
      past.begins(beginsAt);
      for (const message of comes) past.passes(message);
      assert.throws(
        () => past.ends(),
        (error: Error) => error instanceof RefusedError && said.test(error.message),
      );
      assert(!past.isKnown);
    });
});
