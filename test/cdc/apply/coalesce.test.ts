import assert from "node:assert/strict";
import fc from "fast-check";
import type { TableMapping } from "../../../provider/src/cdc/binding/table-mapping";
import {
  type Change,
  type Relation,
  type RowChange,
  type Tuple,
  tupleHolding,
  endOf,
  nullField,
  startOf,
  mergeUpdate,
} from "../../../provider/src/cdc/model/change";
import { coalesce } from "../../../provider/src/cdc/batch/coalesce";
import type { NetChanges } from "../../../provider/src/cdc/batch/net-changes";
import { type FieldText, tuple } from "../tuple";

/** A table `(id, v, big)` with the key id. An update may omit `big`, like an unchanged TOAST value. */
const relation: Relation = {
  oid: 1,
  schema: "public",
  name: "t",
  replicaIdentity: "d",
  publishesGeneratedColumns: false,
  columns: ["id", "v", "big"].map((name) => ({ name, key: name === "id", typeOid: 25, typeModifier: -1 })),
};
const binding = {
  name: "t",
  relation,
  stored: [0, 1, 2],
  unmatched: [],
  key: [0],
  keyed: true,
} as unknown as TableMapping;

/** A table without a key: changes have complete old rows, and equal rows are interchangeable. */
const bag: Relation = { ...relation, name: "bag", replicaIdentity: "f", columns: relation.columns.slice(0, 2) };
const bagBinding = { name: "bag", relation: bag, stored: [0, 1], unmatched: [], key: [], keyed: false };

type Rows = Map<string, readonly (string | null)[]>;

function valueOf(row: Tuple, field: number): FieldText {
  const holder = tupleHolding(row, field);
  if (!holder) return undefined;
  const start = startOf(holder, field);
  return start === nullField ? null : holder.bytes.toString("utf8", start, endOf(holder, field));
}

const keyOf = (row: Tuple): string => valueOf(row, 0)!;

const textOf = (row: Tuple): string => JSON.stringify([valueOf(row, 0), valueOf(row, 1)]);

type BagRow = readonly [string, string | null];

/** Takes one of the rows, puts another one, or replaces one. */
const actionOf = (content: fc.Arbitrary<BagRow>): fc.Arbitrary<BagAction> =>
  fc.record({
    take: fc.option(fc.nat(), { nil: undefined }),
    put: fc.option(content, { nil: undefined }),
  });

interface BagAction {
  readonly take: number | undefined;
  readonly put: BagRow | undefined;
}

/** The rows after these actions, and what the stream contains with REPLICA IDENTITY FULL. */
function performed(
  existing: readonly BagRow[],
  actions: readonly BagAction[],
): { readonly source: readonly BagRow[]; readonly changes: Change[] } {
  const source = [...existing];
  const changes = actions.flatMap(({ take, put }): Change[] => {
    const old = take === undefined || source.length === 0 ? undefined : source.splice(take % source.length, 1)[0];
    if (put) source.push(put);
    if (old && put) return [{ kind: "update", relation: bag, row: tuple(put), old: tuple(old) }];
    if (old) return [{ kind: "delete", relation: bag, old: tuple(old) }];
    return put ? [{ kind: "insert", relation: bag, row: tuple(put) }] : [];
  });
  return { source, changes };
}

/** A statement on the source. If the rows do not allow it, the source publishes no change. */
type Command =
  | { readonly do: "insert"; readonly id: string; readonly v: string | null; readonly big: string }
  | {
      readonly do: "update";
      readonly id: string;
      readonly to: string;
      readonly v: string | null;
      readonly big: string | undefined;
    }
  | { readonly do: "delete"; readonly id: string }
  | { readonly do: "truncate" };

function execute(rows: Rows, command: Command): Change | undefined {
  switch (command.do) {
    case "truncate":
      rows.clear();
      return { kind: "truncate", relations: [relation], cascade: false, restartIdentity: false };
    case "insert":
      if (rows.has(command.id)) return undefined;
      rows.set(command.id, [command.id, command.v, command.big]);
      return { kind: "insert", relation, row: tuple([command.id, command.v, command.big]) };
    case "delete":
      if (!rows.delete(command.id)) return undefined;
      return { kind: "delete", relation, old: tuple([command.id, undefined, undefined]) };
    case "update": {
      const before = rows.get(command.id);
      const moves = command.to !== command.id;
      if (!before || (moves && rows.has(command.to))) return undefined;
      rows.delete(command.id);
      rows.set(command.to, [command.to, command.v, command.big ?? before[2]!]);
      const old = moves ? tuple([command.id, undefined, undefined]) : undefined;
      return { kind: "update", relation, row: tuple([command.to, command.v, command.big]), old };
    }
  }
}

function applyNet(rows: Rows, { deletes, updates, inserts }: Omit<NetChanges, "replacesRows">): void {
  for (const old of deletes) assert.ok(rows.delete(keyOf(old)), `delete of ${keyOf(old)} finds a row`);
  for (const { fields, rows: updated } of updates)
    for (const row of updated) {
      const before = rows.get(keyOf(row));
      assert.ok(before, `update of ${keyOf(row)} finds a row`);
      rows.set(
        keyOf(row),
        before.map((value, field) => (fields.includes(field) ? valueOf(row, field)! : value)),
      );
    }
  for (const row of inserts) {
    assert.ok(!rows.has(keyOf(row)), `insert of ${keyOf(row)} finds no row`);
    rows.set(
      keyOf(row),
      [0, 1, 2].map((field) => valueOf(row, field)!),
    );
  }
}

function applyOne(rows: Rows, change: RowChange): void {
  if (change.kind === "insert") {
    applyNet(rows, { deletes: [], updates: [], inserts: [change.row] });
    return;
  }
  const old = change.kind === "delete" ? change.old : (change.old ?? change.row);
  const before = rows.get(keyOf(old));
  assert.ok(before, `${change.kind} of ${keyOf(old)} finds a row`);
  rows.delete(keyOf(old));
  if (change.kind === "delete") return;
  const row = mergeUpdate(change.row, change.old);
  rows.set(
    keyOf(row),
    before.map((value, field) => valueOf(row, field) ?? (valueOf(row, field) === null ? null : value)),
  );
}

const id = fc.constantFrom("1", "2", "3", "4");
const value = fc.oneof(fc.string({ maxLength: 3 }), fc.constant(null));
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("insert" as const), id, v: value, big: fc.string() }) },
  {
    weight: 8,
    arbitrary: fc
      .record({ id, to: fc.option(id, { nil: undefined }), v: value, big: fc.option(fc.string(), { nil: undefined }) })
      .map((update) => ({ ...update, do: "update" as const, to: update.to ?? update.id })),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("delete" as const), id }) },
  { weight: 1, arbitrary: fc.constant({ do: "truncate" as const }) },
);

describe("coalesce", () => {
  for (const isSequential of [false, true])
    it(`has the same effect as the changes in order, ${isSequential ? "for a sequential table" : "for a coalesced table"}`, () => {
      fc.assert(
        fc.property(fc.array(id), fc.array(command, { maxLength: 40 }), (existing, commands) => {
          const source: Rows = new Map(existing.map((key) => [key, [key, "old", `old big ${key}`]]));
          const target: Rows = new Map(source);
          const changes = commands.flatMap((one) => execute(source, one) ?? []);
          for (const step of coalesce(
            changes,
            () => binding,
            () => isSequential,
          )) {
            if (step.kind === "truncate") target.clear();
            else
              for (const { parts } of step.tables)
                for (const part of parts) {
                  if ("sequential" in part) for (const { change } of part.sequential) applyOne(target, change);
                  else applyNet(target, part);
                }
          }
          assert.deepEqual(new Map([...target].sort()), new Map([...source].sort()));
        }),
        { numRuns: 2000 },
      );
    });

  it("returns one operation for each key", () => {
    const rows: Rows = new Map([["1", ["1", "old", "old"]]]);
    const commands: Command[] = [
      { do: "update", id: "1", to: "1", v: "a", big: undefined },
      { do: "insert", id: "2", v: "b", big: "b" },
      { do: "update", id: "1", to: "1", v: "c", big: undefined },
      { do: "update", id: "2", to: "3", v: "d", big: undefined },
      { do: "insert", id: "4", v: "e", big: "e" },
      { do: "delete", id: "4" },
    ];
    const [step, ...others] = coalesce(
      commands.flatMap((one) => execute(rows, one) ?? []),
      () => binding,
    );
    assert.equal(others.length, 0);
    assert.ok(step?.kind === "tables");
    const [part] = step.tables[0]!.parts as [NetChanges];
    assert.deepEqual([part.deletes.length, part.updates.length, part.inserts.length], [0, 1, 1]);
    assert.deepEqual(part.updates[0]!.fields, [0, 1]);
    assert.deepEqual(
      [0, 1, 2].map((field) => valueOf(part.inserts[0]!, field)),
      ["3", "d", "b"],
    );
  });

  it("does not build a chain of states for a row that is updated repeatedly", () => {
    const changes = Array.from({ length: 1000 }, (_, n): Change => ({
      kind: "update",
      relation,
      row: tuple(["1", String(n), undefined]),
      old: undefined,
    }));
    const [step] = coalesce(changes, () => binding);
    assert.ok(step?.kind === "tables");
    const [part] = step.tables[0]!.parts as [NetChanges];
    let length = 0;
    for (let row: Tuple | undefined = part.updates[0]!.rows[0]; row; row = row.base) length++;
    assert.ok(length <= 2, `${length} states`);
  });

  it("counts equal rows of a table without a key", () => {
    const content = fc.tuple(fc.constantFrom("a", "b", ""), fc.constantFrom("x", "", null));
    fc.assert(
      fc.property(
        fc.array(content, { maxLength: 6 }),
        fc.array(actionOf(content), { maxLength: 30 }),
        (existing, actions) => {
          const { source, changes } = performed(existing, actions);
          const target = existing.map((row) => JSON.stringify(row));
          for (const step of coalesce(changes, () => bagBinding as unknown as TableMapping)) {
            assert.ok(step.kind === "tables");
            for (const part of step.tables.flatMap(({ parts }) => parts)) {
              assert.ok(!("sequential" in part) && part.updates.length === 0);
              for (const row of part.deletes) {
                const place = target.indexOf(textOf(row));
                assert.ok(place >= 0, `delete of ${textOf(row)} finds a row`);
                target.splice(place, 1);
              }
              target.push(...part.inserts.map(textOf));
            }
          }
          assert.deepEqual(target.sort(), source.map((row) => JSON.stringify(row)).sort());
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("under REPLICA IDENTITY FULL, rows that share a key: the target refuses one, or has the source's rows", () => {
    const keyed = { ...bagBinding, key: [0], keyed: true } as unknown as TableMapping;
    const content = fc.tuple(fc.constantFrom("1", "2"), fc.constantFrom("x", "y"));
    const first = fc.uniqueArray(content, { selector: ([key]) => key });
    fc.assert(
      fc.property(first, fc.array(actionOf(content), { maxLength: 8 }), (existing, actions) => {
        const { source, changes } = performed(existing, actions);
        const target = new Map(existing.map((row) => [row[0] as string, JSON.stringify(row)]));
        for (const step of coalesce(changes, () => keyed)) {
          assert.ok(step.kind === "tables");
          for (const part of step.tables.flatMap(({ parts }) => parts)) {
            // The target applies such changes one by one, and refuses the first that does not fit.
            if ("sequential" in part) return;
            for (const old of part.deletes) if (!target.delete(keyOf(old))) return;
            for (const row of part.updates.flatMap(({ rows }) => rows)) {
              if (!target.has(keyOf(row))) return;
              target.set(keyOf(row), textOf(row));
            }
            for (const row of part.inserts) {
              if (target.has(keyOf(row))) return;
              target.set(keyOf(row), textOf(row));
            }
          }
        }
        assert.deepEqual([...target.values()].sort(), source.map((row) => JSON.stringify(row)).sort());
      }),
      { numRuns: 5000 },
    );
  });

  it("keeps an update without a key sequential if values are absent, or only the target has a column", () => {
    const update: Change = { kind: "update", relation: bag, row: tuple(["a", "y"]), old: tuple(["a", "x"]) };
    const incomplete: Change = { ...update, old: tuple(["a", undefined]) };
    const wider = { ...bagBinding, unmatched: [{ name: "only on the target" }] };
    for (const [change, fitting] of [
      [incomplete, bagBinding],
      [update, wider],
    ] as const) {
      const [step] = coalesce([change], () => fitting as unknown as TableMapping);
      assert.ok(step?.kind === "tables" && "sequential" in step.tables[0]!.parts[0]!);
    }
  });
});
