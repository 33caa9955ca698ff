import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";
import { copiedBytes } from "./copied-bytes";

const bytesPerSecond = 128 * 1024;

describe("maxCopyRate", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  it("limits a running copy of tables of every size, until an update removes it", async () => {
    const database = await lab.database(
      `CREATE TABLE large (id int, v text);
       INSERT INTO large SELECT i, repeat(md5(i::text), 32) FROM generate_series(1, 20000) i;
       CREATE TABLE other (LIKE large); INSERT INTO other SELECT * FROM large;
       CREATE TABLE small (id int PRIMARY KEY); INSERT INTO small VALUES (1)`,
    );
    const resource = new Resource();
    await resource.create(lab.inputs([database], { maxCopyRate: "128kB", waitFor: "started" }));
    await until("both large tables are read", async () => {
      const copied = await copiedBytes(lab, database);
      assert(copied.bytes <= bytesPerSecond * (copied.seconds + 2), JSON.stringify(copied));
      return copied.tables >= 2 && copied.bytes > bytesPerSecond;
    });
    const { pid } = resource.status.worker;
    const ended = await resource.update({ maxCopyRate: undefined, waitFor: "succeeded" });
    assert.equal(ended.state, "Succeeded");
    assert.equal(ended.worker.pid, pid, "the same worker applied the change");
    const copied = await copiedBytes(lab, database);
    assert(copied.bytes > bytesPerSecond * (copied.seconds + 2), JSON.stringify(copied));
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
