import assert from "node:assert/strict";
import { comparisonSnapshot } from "../../../provider/src/cutover/comparison-snapshot";
import { EmbeddedServer } from "../../support/servers/embedded-server";
import { until } from "../../support/until";
import { endpointOf, freshDatabase } from "../../copy/pairs";

describe("the snapshot of a comparison", () => {
  let server: EmbeddedServer;
  before(async () => {
    server = await EmbeddedServer.start({ major: 14, parameters: { wal_level: "logical" } });
  });
  after(() => server.stop());

  it("waits for that of another database, and names it", async () => {
    const [first, second] = [await freshDatabase(server), await freshDatabase(server)];
    const queued: string[] = [];
    const take = (database: string) =>
      comparisonSnapshot({
        ...{ source: endpointOf(server), database, slot: `point_${database}`, plugin: "pgoutput" },
        onQueued: (other) => queued.push(other),
      });
    const application = await server.connect(first);
    await application.query("BEGIN; CREATE TABLE t (id int)");
    const snapshots = [take(first), take(second)];
    await until("the second one is queued", () => Promise.resolve(queued.length > 0));
    assert.deepEqual(queued, [first]);
    await application.query("COMMIT");
    await application.end();
    for (const { snapshot } of await Promise.all(snapshots)) await snapshot.release();
    assert.deepEqual(queued, [first]);
  });
});
