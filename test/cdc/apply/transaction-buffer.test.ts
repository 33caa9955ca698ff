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

interface Received {
  readonly xid: number;
  readonly changes: number;
  /** As with pgoutput; otherwise the commit LSN is known at the end only, as with test_decoding. */
  readonly hasCommitLsn: boolean;
  /** The tables of the changes, in turn. */
  readonly tables?: readonly Relation[];
}

function receive(buffer: TransactionBuffer, { xid, changes, hasCommitLsn, tables = [relation] }: Received): void {
  const commitLsn = hasCommitLsn ? BigInt(xid * 10) : undefined;
  buffer.receive({ kind: "begin", transaction: { xid, commitLsn, commitTimeMs: undefined } }, 0);
  for (let n = 0; n < changes; n++)
    buffer.receive({ kind: "insert", relation: tables[n % tables.length]!, row: empty }, 1);
  buffer.receive({ kind: "commit", endLsn: BigInt(xid * 10 + 1), commitTimeMs: 0 }, 0);
}

describe("TransactionBuffer", () => {
  it("returns a requeued batch again, up to the current bound", () => {
    const sizes = fc.array(fc.nat({ max: 7 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(
        sizes,
        fc.boolean(),
        fc.nat({ max: 21 }),
        fc.array(fc.boolean()),
        (transactions, hasCommitLsn, at, requeues) => {
          const buffer = new TransactionBuffer({ changes: 5, bytes: 1e9, tables: 9 });
          const bound = BigInt(at * 10);
          const applied: number[] = [];
          const apply = (limit: bigint | undefined, requeue: boolean): boolean => {
            const batch = buffer.take(limit);
            if (!batch) return false;
            if (requeue) buffer.requeue(batch);
            else {
              applied.push(...batch.flatMap(({ transaction, changes }) => changes.map(() => transaction.xid)));
              buffer.release(batch);
            }
            return true;
          };
          transactions.forEach((changes, place) => receive(buffer, { xid: place + 1, changes, hasCommitLsn }));
          const expected = transactions.flatMap((changes, place) => Array.from({ length: changes }, () => place + 1));
          // Taken without a bound and requeued, then taken with the bound.
          apply(undefined, true);
          for (const requeue of requeues) apply(bound, requeue);
          while (apply(bound, false));
          assert.deepEqual(
            applied,
            expected.filter((xid) => BigInt(xid * 10) < bound),
          );
          assert.ok(buffer.hasTakenAllThrough(bound) || buffer.empty);
          while (apply(undefined, false));
          assert.deepEqual(applied, expected);
          assert.deepEqual([buffer.empty, buffer.bytes, buffer.hasFullBatch()], [true, 0, false]);
        },
      ),
    );
  });

  it("limits the tables of a batch, unless one transaction has more", () => {
    const buffer = new TransactionBuffer({ changes: 100, bytes: 1e9, tables: 3 });
    const named = (...oids: number[]): Relation[] => oids.map((oid) => ({ ...relation, oid }));
    const transactions = [[1, 2], [1, 2], [2, 3], [4], [5, 6, 7, 8], [5], [5, 6]].map((oids) => named(...oids));
    transactions.forEach((tables, place) =>
      receive(buffer, { xid: place + 1, changes: tables.length, hasCommitLsn: true, tables }),
    );
    const batches: number[][] = [];
    for (let batch = buffer.take(undefined); batch; batch = buffer.take(undefined))
      batches.push(batch.map(({ transaction }) => transaction.xid));
    assert.deepEqual(batches, [[1, 2, 3], [4], [5], [6, 7]]);
  });

  it("sets the commit LSN of a transaction whose first part was taken before its end, and requeued after it", () => {
    const buffer = new TransactionBuffer({ changes: 2, bytes: 1e9, tables: 9 });
    const change = { kind: "insert", relation, row: empty } as const;
    buffer.receive({ kind: "begin", transaction: { xid: 1, commitLsn: undefined, commitTimeMs: undefined } }, 0);
    for (let n = 0; n < 5; n++) buffer.receive(change, 1);
    const first = buffer.take(undefined)!;
    buffer.receive({ kind: "commit", endLsn: 100n, commitTimeMs: 0 }, 0);
    buffer.requeue(first);
    assert.equal(buffer.take(99n), undefined);
    assert.equal(buffer.headHasUnknownLsn, false);
    assert.deepEqual(
      buffer.take(100n)?.map(({ changes }) => changes.length),
      [2],
    );
  });
});
