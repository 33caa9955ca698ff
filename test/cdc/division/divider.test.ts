import assert from "node:assert/strict";
import type { BatchSegment } from "../../../provider/src/cdc/batch/transaction-buffer";
import type { Division, TableDivision } from "../../../provider/src/cdc/division/division";
import { Divider } from "../../../provider/src/cdc/division/divider";
import { RemainingChanges } from "../../../provider/src/cdc/division/remaining-changes";
import { Shares } from "../../../provider/src/cdc/division/shares";
import {
  type Relation,
  type RowChange,
  type Tuple,
  mergeUpdate,
  tupleHolding,
  startOf,
  endOf,
} from "../../../provider/src/cdc/model/change";
import { Seeded, seed } from "../../support/seeded";
import { tuple } from "../tuple";

const relationNamed = (name: string, replicaIdentity = "d"): Relation => ({
  ...{ oid: name.charCodeAt(0), schema: "public", name, replicaIdentity, publishesGeneratedColumns: false },
  columns: ["k", "v"].map((column) => ({ name: column, key: column === "k", typeOid: 25, typeModifier: -1 })),
});

const byKey: TableDivision = { by: "key", columns: [{ name: "k", type: "text" }] };
const [keyed, whole, log] = ["keyed", "whole", "log"].map((name) => relationNamed(name)) as [
  Relation,
  Relation,
  Relation,
];
const division: Division = {
  sessions: 3,
  tables: new Map<string, TableDivision>([
    ['"public"."keyed"', byKey],
    ['"public"."whole"', { by: "table", session: 1 }],
    ['"public"."log"', { by: "transaction" }],
  ]),
};

const textOf = (row: Tuple, field: number): string => {
  const holder = tupleHolding(row, field);
  assert.ok(holder, `a value of field ${field}`);
  return holder.bytes.toString("utf8", startOf(holder, field), endOf(holder, field));
};

/** The rows of all tables. Like the target, it refuses a second row with a key, and a change of a missing row. */
class Rows {
  readonly #rows = new Map<string, string>();
  readonly #log: string[] = [];

  apply({ kind, relation, ...change }: RowChange): void {
    const { row, old } = change as { row?: Tuple; old?: Tuple };
    if (relation === log) {
      this.#log.push(textOf(row!, 0) + textOf(row!, 1));
      return;
    }
    const keyOf = (of: Tuple): string => `${relation.name} ${textOf(of, 0)}`;
    if (kind === "insert") {
      assert.ok(!this.#rows.has(keyOf(row!)), `no second row ${keyOf(row!)}`);
      this.#rows.set(keyOf(row!), textOf(row!, 1));
      return;
    }
    const key = keyOf(old ?? row!);
    const before = this.#rows.get(key);
    assert.ok(before !== undefined, `a row ${key} to ${kind}`);
    this.#rows.delete(key);
    if (kind === "delete") return;
    const after = mergeUpdate(row!, old);
    assert.ok(!this.#rows.has(keyOf(after)), `no second row ${keyOf(after)}`);
    this.#rows.set(keyOf(after), tupleHolding(after, 1) ? textOf(after, 1) : before);
  }

  get content(): unknown {
    return [[...this.#rows].sort(), [...this.#log].sort()];
  }
}

/** Random transactions that are valid one after the other. */
class RandomTransactions {
  readonly #random: Seeded;
  readonly #keys = { keyed: new Set<string>(), whole: new Set<string>() };
  #xid = 0;

  constructor(random: Seeded) {
    this.#random = random;
  }

  next(): BatchSegment {
    const xid = ++this.#xid;
    const changes = Array.from({ length: this.#random.below(6) }, () => this.#change());
    const commitLsn = BigInt(100 * xid);
    const transaction = { xid, commitLsn, commitTimeMs: xid };
    return { transaction, first: true, changes, bytes: 1, end: { lsn: commitLsn + 50n, commitTimeMs: xid } };
  }

  #change(): RowChange {
    const random = this.#random;
    const value = (): string => String(random.below(1000));
    if (random.oneIn(5)) return { kind: "insert", relation: log, row: tuple([value(), value()]) };
    const relation = random.oneIn(3) ? whole : keyed;
    const keys = this.#keys[relation.name as "keyed" | "whole"];
    const key = String(random.below(12));
    const other = String(random.below(12));
    if (!keys.has(key)) {
      keys.add(key);
      return { kind: "insert", relation, row: tuple([key, value()]) };
    }
    if (random.oneIn(3) && !keys.has(other)) {
      keys.delete(key);
      keys.add(other);
      // An unchanged TOAST value is absent, or known from the complete old row.
      const [now, before] = random.pick([
        [value(), undefined],
        [undefined, "old"],
        [undefined, undefined],
      ]);
      return { kind: "update", relation, row: tuple([other, now]), old: tuple([key, before]) };
    }
    if (random.oneIn(3)) {
      keys.delete(key);
      return { kind: "delete", relation, old: tuple([key, undefined]) };
    }
    return { kind: "update", relation, row: tuple([key, random.pick([value(), undefined])]), old: undefined };
  }
}

/** Every list in its own order, in a random interleaving. */
function interleaved(lists: readonly (readonly RowChange[])[], random: Seeded): RowChange[] {
  const left = lists.map((list) => [...list]);
  const all: RowChange[] = [];
  for (;;) {
    const open = left.filter((list) => list.length > 0);
    if (open.length === 0) return all;
    all.push(random.pick(open).shift()!);
  }
}

const changesOf = (segments: readonly BatchSegment[]): RowChange[] =>
  segments.flatMap(({ changes }) => changes as readonly RowChange[]);

describe("Divider", () => {
  it(`divides changes so that any interleaving of sessions ends like the source's order (seed ${seed})`, () => {
    const random = new Seeded(seed);
    let divided = 0;
    for (let round = 0; round < 300; round++) {
      const transactions = new RandomTransactions(random);
      const [expected, found] = [new Rows(), new Rows()];
      for (let batch = 0; batch < 8; batch++) {
        const shares = new Shares(new Divider(division, "text", [keyed, whole, log]));
        const segments = Array.from({ length: 1 + random.below(8) }, () => transactions.next());
        const first = segments.findIndex((segment) => !shares.add(segment));
        const accepted = first < 0 ? segments : segments.slice(0, first);
        divided += changesOf(accepted).length;
        for (const change of changesOf(segments)) expected.apply(change);
        const lists = shares.changes as readonly RowChange[][];
        // One of the sessions may have committed its share before the others were killed.
        const killed = random.oneIn(2);
        const through = accepted.at(-1)?.end?.lsn ?? 0n;
        const appliedThroughLsns = lists.map(() => (killed && random.oneIn(2) ? 0n : through));
        for (const change of interleaved(
          lists.filter((_, session) => appliedThroughLsns[session]! > 0n),
          random,
        ))
          found.apply(change);
        const remaining = new RemainingChanges({ division, appliedThroughLsns }, "text");
        for (const { transaction, changes } of accepted)
          for (const change of changes) if (remaining.includes(change, transaction)) found.apply(change as RowChange);
        for (const change of changesOf(segments.slice(accepted.length))) found.apply(change);
        assert.deepEqual(found.content, expected.content);
      }
    }
    assert.ok(divided > 1000, `${divided} changes were divided`);
  });

  it("divides keys in the same way in both forms", () => {
    const random = new Seeded(seed);
    const transaction = { xid: 1, commitLsn: 1n, commitTimeMs: 0 };
    const sessionOf = (type: "integer" | "uuid" | "text", form: "text" | "binary", value: Buffer): unknown => {
      const tables = new Map([['"public"."keyed"', { ...byKey, columns: [{ name: "k", type }] }]]);
      const row: Tuple = { bytes: value, bounds: [0, value.length, -1, -1], at: 0, fields: 2, base: undefined };
      return new Divider({ sessions: 64, tables }, form).divide({ kind: "insert", relation: keyed, row }, transaction);
    };
    const used = new Set<unknown>();
    for (let round = 0; round < 500; round++) {
      const number = random.below(2 ** 32) - 2 ** 31;
      const [small, int, big] = [Buffer.alloc(2), Buffer.alloc(4), Buffer.alloc(8)];
      small.writeInt16BE(number >> 16);
      int.writeInt32BE(number);
      big.writeBigInt64BE(BigInt(number) * 2n ** 31n + 7n);
      const uuid = Buffer.from(Array.from({ length: 16 }, () => random.below(256)));
      const hex = uuid.toString("hex");
      const text = Buffer.from(`ключ ${number}`);
      const pairs = [
        ["integer", small, String(number >> 16)],
        ["integer", int, String(number)],
        ["integer", big, String(BigInt(number) * 2n ** 31n + 7n)],
        ["uuid", uuid, hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-")],
        ["text", text, text.toString()],
      ] as const;
      for (const [type, binary, printed] of pairs) {
        const session = sessionOf(type, "text", Buffer.from(printed));
        used.add(session);
        assert.equal(sessionOf(type, "binary", binary), session, `${type} ${printed}`);
      }
    }
    assert.equal(used.size, 64, "keys of all sessions");
  });

  it("divides as earlier versions did, because a successor completes their batches", () => {
    const divider = new Divider({ ...division, sessions: 7 }, "text");
    const transaction = { xid: 1234, commitLsn: 1n, commitTimeMs: 0 };
    const sessions = ["", "1", "2", "key", "ключ", "-9223372036854775808"].map((key) =>
      divider.divide({ kind: "insert", relation: keyed, row: tuple([key, "v"]) }, transaction),
    );
    const logged = divider.divide({ kind: "insert", relation: log, row: tuple(["1", "2"]) }, transaction);
    assert.deepEqual([...sessions, logged], [1, 0, 4, 4, 2, 5, 1]);
  });

  it("does not divide what needs an order", () => {
    const divider = new Divider(division, "text");
    const transaction = { xid: 1, commitLsn: 1n, commitTimeMs: 0 };
    const unknown = relationNamed("unknown");
    const altered = { ...keyed, columns: keyed.columns.slice(1) };
    const changes = [
      { kind: "truncate", relations: [keyed], cascade: false, restartIdentity: false },
      { kind: "insert", relation: unknown, row: tuple(["1", "2"]) },
      { kind: "insert", relation: altered, row: tuple(["2"]) },
      { kind: "delete", relation: log, old: tuple(["1", "2"]) },
      { kind: "update", relation: keyed, row: tuple(["2", "v"]), old: tuple(["1", undefined]) },
    ] as const;
    assert.deepEqual(
      changes.map((change) => divider.divide(change, transaction)),
      changes.map(() => undefined),
    );
  });
});
