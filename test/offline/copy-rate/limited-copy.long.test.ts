import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";
import { copiedBytes } from "./copied-bytes";

const megabyte = 1024 ** 2;

describe("maxCopyRate of several workers", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  it("applies to all of them together", async () => {
    const rows = "SELECT i, repeat(md5(i::text), 32) FROM generate_series(1, 60000) i";
    const database = await lab.database(
      `CREATE TABLE a (id int, v text); INSERT INTO a ${rows}; CREATE TABLE b (LIKE a); INSERT INTO b SELECT * FROM a;
       CREATE TABLE c (LIKE a); INSERT INTO c SELECT * FROM a`,
    );
    const resource = new Resource();
    await resource.create(lab.inputs([database], { maxCopyRate: "1MB", workers: 3, tableJobs: 1, waitFor: "started" }));
    await until("three workers read", async () => (await copiedBytes(lab, database)).workers === 3);
    const before = await copiedBytes(lab, database);
    await until("they have read 12 MB more", async () => {
      const { bytes } = await copiedBytes(lab, database);
      return bytes > before.bytes + 12 * megabyte;
    });
    const after = await copiedBytes(lab, database);
    // Each worker records its bytes once per second.
    const seconds = after.seconds - before.seconds + 2;
    assert(after.bytes - before.bytes <= megabyte * seconds, JSON.stringify({ before, after }));
    const ended = await resource.update({ maxCopyRate: "1GB", waitFor: "succeeded" });
    assert.equal(ended.state, "Succeeded");
    const copied = await copiedBytes(lab, database);
    assert(copied.bytes > megabyte * (copied.seconds + 2), JSON.stringify(copied));
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
