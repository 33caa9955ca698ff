import assert from "node:assert/strict";
import fc from "fast-check";
import type { Relation, Tuple } from "../../../provider/src/cdc/model/change";
import { TransactionBuffer } from "../../../provider/src/cdc/batch/transaction-buffer";

const relation: Relation = {
  oid: 1,
  schema: "s",
  name: "t",
  replicaIdentity: "d",
  columns: [],
  publishesGeneratedColumns: false,
};
const empty: Tuple = { bytes: Buffer.alloc(0), bounds: [], at: 0, fields: 0, base: undefined };

/** @param tables of which each change in turn is of another one */
function receive(inbox: TransactionBuffer, xid: number, changes: number, isPlaced: boolean, tables = [relation]): void {
  const commitLsn = isPlaced ? BigInt(xid * 10) : undefined;
  inbox.receive({ kind: "begin", transaction: { xid, commitLsn, commitTimeMs: undefined } }, 0);
  for (let n = 0; n < changes; n++)
    inbox.receive({ kind: "insert", relation: tables[n % tables.length]!, row: empty }, 1);
  inbox.receive({ kind: "commit", endLsn: BigInt(xid * 10 + 1), commitTimeMs: 0 }, 0);
}

describe("the inbox", () => {
  it("gives a batch again that was given back, up to where the gate stands now", () => {
    const sizes = fc.array(fc.nat({ max: 7 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(
        sizes,
        fc.boolean(),
        fc.nat({ max: 21 }),
        fc.array(fc.boolean()),
        (transactions, isPlaced, at, backs) => {
          const inbox = new TransactionBuffer({ changes: 5, bytes: 1e9, tables: 9 });
          const bound = BigInt(at * 10);
          const applied: number[] = [];
          const apply = (limit: bigint | undefined, requeue: boolean): boolean => {
            const batch = inbox.take(limit);
            if (!batch) return false;
            if (requeue) inbox.requeue(batch);
            else {
              applied.push(...batch.flatMap(({ transaction, changes }) => changes.map(() => transaction.xid)));
              inbox.release(batch);
            }
            return true;
          };
          transactions.forEach((changes, place) => receive(inbox, place + 1, changes, isPlaced));
          const expected = transactions.flatMap((changes, place) => Array.from({ length: changes }, () => place + 1));
          // Taken with the gate open and given back, then taken with it closed.
          apply(undefined, true);
          for (const requeue of backs) apply(bound, requeue);
          while (apply(bound, false));
          assert.deepEqual(
            applied,
            expected.filter((xid) => BigInt(xid * 10) < bound),
          );
          assert.ok(inbox.hasTakenAllThrough(bound) || inbox.empty);
          while (apply(undefined, false));
          assert.deepEqual(applied, expected);
          assert.deepEqual([inbox.empty, inbox.bytes, inbox.hasFullBatch], [true, 0, false]);
        },
      ),
    );
  });

  it("gives no more tables at a time than the target may hold locks on, unless a transaction has more", () => {
    const inbox = new TransactionBuffer({ changes: 100, bytes: 1e9, tables: 3 });
    const named = (...oids: number[]): Relation[] => oids.map((oid) => ({ ...relation, oid }));
    const transactions = [[1, 2], [1, 2], [2, 3], [4], [5, 6, 7, 8], [5], [5, 6]].map((oids) => named(...oids));
    transactions.forEach((tables, place) => receive(inbox, place + 1, tables.length, true, tables));
    const batches: number[][] = [];
    for (let batch = inbox.take(undefined); batch; batch = inbox.take(undefined))
      batches.push(batch.map(({ transaction }) => transaction.xid));
    assert.deepEqual(batches, [[1, 2, 3], [4], [5], [6, 7]]);
  });

  it("knows where a transaction is whose first part was taken before its end came, and given back after", () => {
    const inbox = new TransactionBuffer({ changes: 2, bytes: 1e9, tables: 9 });
    const change = { kind: "insert", relation, row: empty } as const;
    inbox.receive({ kind: "begin", transaction: { xid: 1, commitLsn: undefined, commitTimeMs: undefined } }, 0);
    for (let n = 0; n < 5; n++) inbox.receive(change, 1);
    const first = inbox.take(undefined)!;
    inbox.receive({ kind: "commit", endLsn: 100n, commitTimeMs: 0 }, 0);
    inbox.requeue(first);
    assert.equal(inbox.take(99n), undefined);
    assert.equal(inbox.headHasUnknownLsn, false);
    assert.deepEqual(
      inbox.take(100n)?.map(({ changes }) => changes.length),
      [2],
    );
  });
});
