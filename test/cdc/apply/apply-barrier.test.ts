import assert from "node:assert/strict";
import { ApplyBarrier } from "../../../provider/src/cdc/apply-barrier";
import { TransactionBuffer } from "../../../provider/src/cdc/batch/transaction-buffer";
import type { Lsn } from "../../../provider/src/postgres/lsn";

const record = { start: 100n, end: 140n };

/** Drains to `bound` with one transaction whose commit record is {@link record}. */
async function drain(bound: Lsn): Promise<"applied" | "not applied"> {
  const buffer = new TransactionBuffer({ changes: 10, bytes: 1e9, tables: 10 });
  const barrier = new ApplyBarrier();
  buffer.receive({ kind: "begin", transaction: { xid: 1, commitLsn: record.start, commitTimeMs: 0 } }, 0);
  buffer.receive({ kind: "commit", endLsn: record.end, commitTimeMs: 0 }, 0);
  const drained = barrier.closeAfter(bound);
  const applied = buffer.take(barrier.bound)?.at(-1);
  assert.ok(applied !== undefined || buffer.hasTakenAllThrough(bound));
  barrier.reached(applied?.transaction.commitLsn ?? 0n);
  await drained;
  return applied ? "applied" : "not applied";
}

describe("ApplyBarrier and TransactionBuffer", () => {
  it("agree on which transactions a bound includes, also when it lies inside a commit record", async () => {
    assert.equal(await drain(record.start), "not applied");
    assert.equal(await drain(record.start + 1n), "applied");
    assert.equal(await drain(record.end - 1n), "applied");
    assert.equal(await drain(record.end), "applied");
  });

  it("refuse a bound before a transaction that has been applied", async () => {
    const barrier = new ApplyBarrier();
    const drained = barrier.closeAfter(record.start);
    barrier.reached(record.start);
    await assert.rejects(drained, /has already applied the commit at 0\/64, which is after 0\/64/);
  });
});
