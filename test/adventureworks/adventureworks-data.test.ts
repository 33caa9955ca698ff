import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { catalogue, nameOf } from "../../tools/adventureworks/catalogue";
import { dataOf } from "../../tools/adventureworks/data/adventureworks-data";
import { pair, Shares } from "../../tools/adventureworks/data/distribution";
import { worldAt } from "../../tools/adventureworks/data/world";
import { copyText } from "../../tools/adventureworks/load/copy-text";

function digestAt(scale: number): string {
  const world = worldAt(scale);
  const hash = createHash("sha256");
  for (const table of catalogue.tables) {
    for (const chunk of copyText(table, dataOf(table, world))) hash.update(chunk);
  }
  return hash.digest("hex");
}

describe("AdventureWorks' data", () => {
  it("has the catalogue's row counts at scale 1", () => {
    const world = worldAt(1);
    const counts = catalogue.tables.map((table) => [nameOf(table), dataOf(table, world).count]);
    assert.deepEqual(
      counts,
      catalogue.tables.map((table) => [nameOf(table), table.rows]),
    );
  });

  it("has at least one row in each table at any scale, and the 16 departments", () => {
    for (const scale of [1e-6, 0.003, 0.37, 7.3]) {
      const world = worldAt(scale);
      for (const table of catalogue.tables) assert.ok(dataOf(table, world).count >= 1, nameOf(table));
      const departments = catalogue.tables.find((table) => table.name === "department")!;
      assert.equal(dataOf(departments, world).count, 16);
    }
  });

  it("grows with the scale", () => {
    const world = worldAt(10);
    const rows = (name: string) =>
      dataOf(
        catalogue.tables.find((table) => nameOf(table) === name)!,
        world,
      ).count;
    assert.equal(rows("sales.salesorderdetail"), 1_213_170);
    assert.equal(rows("production.product"), 5_040);
    assert.equal(rows("person.countryregion"), 238);
  });

  it("has the same bytes on every machine", () => {
    assert.equal(digestAt(0.01), "13e6e3da2e7d99f5529c5993fa1bc51f34dd4e7f2d4c364d89d754980e7cc0ac");
  });

  it("distributes shares without gap or overlap, at least one to each owner", () => {
    for (const [total, owners] of [
      [121_317, 31_465],
      [8, 8],
      [7, 3],
      [1, 1],
      [3, 9],
    ] as const) {
      const shares = new Shares("test", total, owners);
      assert.equal(shares.start(0), 0);
      assert.equal(shares.start(owners), total);
      for (let owner = 0; owner < Math.min(owners, 1_000); owner++) {
        const [from, to] = [shares.start(owner), shares.start(owner + 1)];
        if (total >= owners) assert.ok(from < to);
        for (let part = from; part < to; part++) assert.equal(shares.ownerOf(part), owner);
      }
    }
  });

  it("pairs each left element with each right element once", () => {
    for (const [left, right] of [
      [15, 4],
      [4, 15],
      [1, 3],
      [6, 6],
    ] as const) {
      const pairs = Array.from({ length: left * right }, (_, n) => pair(n, left, right).join());
      assert.equal(new Set(pairs).size, left * right);
    }
  });
});
