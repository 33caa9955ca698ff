import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { FailedCopy } from "./failed-copy";

describe("the rows of a failed attempt", () => {
  const scene = new FailedCopy();

  it("are used by the next attempt", async () => {
    assert.match(await scene.fail("23505"), /the next attempt uses the copied rows of \w+ again, unless/);
    const before = await scene.rowsOnTarget();
    assert.equal((await scene.resource.update({})).state, "Succeeded");
    assert.deepEqual(await scene.rowsOnTarget(), before);
    assert.match(await scene.events(), /^the rows of 3 tables, which an earlier attempt copied, are used again$/m);
    await assertSameContent(...scene.lab.places(scene.database));
  });

  it("are used online with the changes since, which the slot kept", async () => {
    assert.match(await scene.fail("53100", { migrationMode: "Online" }), /the slot \w+ stays on the source/);
    await scene.onSource("UPDATE keyed SET v = 'changed' WHERE id < 10; INSERT INTO keyless VALUES ('new')");
    const before = await scene.rowsOnTarget();
    await scene.resource.update({});
    await scene.onSource("DELETE FROM keyed WHERE id > 2000; REFRESH MATERIALIZED VIEW counted");
    assert.match(await scene.events(), /^the rows of 3 tables, which an earlier attempt copied, are used again$/m);
    assert.equal((await scene.resource.update({ triggerCutover: true })).state, "Succeeded");
    const after = await scene.rowsOnTarget();
    const files = (rows: unknown): unknown => (rows as { name: string; file: number }[]).map(({ file }) => file);
    assert.deepEqual(files(after), files(before));
    await assertSameContent(...scene.lab.places(scene.database));
  });

  it("are copied again if rows of the source changed", async () => {
    await scene.fail("23505");
    const before = await scene.rowsOnTarget();
    await scene.onSource("UPDATE keyless SET v = 'changed' WHERE v = 'v7'");
    assert.equal((await scene.resource.update({})).state, "Succeeded");
    assert.notDeepEqual(await scene.rowsOnTarget(), before);
    assert.match(
      await scene.events(),
      /^the rows of 3 tables, .*, are copied again, because .* are not equal: "public"\."keyless": 3000 rows on both sides/m,
    );
    await assertSameContent(...scene.lab.places(scene.database));
  });
});
