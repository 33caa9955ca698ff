import assert from "node:assert/strict";
import type { Table } from "../../../provider/src/postgres/tables";
import { pairByName } from "../../../provider/src/worker/schema-diff/followed-tables";

const tables = (names: Readonly<Record<string, number>>): Table[] =>
  Object.entries(names).map(([name, oid]) => ({ schema: "public", name, oid }) as Table);

describe("pairByName", () => {
  const none = new Set<number>();

  it("pairs tables that have no copy yet", () => {
    assert.deepEqual(pairByName({}, tables({ a: 1, b: 2 }), tables({ a: 11, other: 19 }), none), { 1: 11 });
  });

  it("keeps the pairs of tables that were renamed or dropped", () => {
    const followed = { 1: 11, 2: 12 };
    assert.deepEqual(pairByName(followed, tables({ renamed: 1 }), tables({ a: 11, b: 12 }), none), followed);
  });

  it("forgets a copy that is no longer on the target", () => {
    assert.deepEqual(pairByName({ 1: 11, 2: 12 }, tables({ a: 1, b: 2 }), tables({ a: 11 }), none), { 1: 11 });
  });

  it("keeps the copies of tables that were swapped while another table was copied", () => {
    const followed = { 1: 11, 2: 12 };
    const swapped = tables({ past: 1, live: 2, added: 3 });
    const pairs = pairByName(followed, swapped, tables({ live: 11, next: 12, added: 13 }), new Set([3]));
    assert.deepEqual(pairs, { 1: 11, 2: 12, 3: 13 });
  });

  it("pairs swapped tables again when they were copied under their new names", () => {
    const swapped = tables({ past: 1, live: 2 });
    const pairs = pairByName({ 1: 11 }, swapped, tables({ past: 13, live: 11 }), new Set([1, 2]));
    assert.deepEqual(pairs, { 1: 13, 2: 11 });
  });
});
