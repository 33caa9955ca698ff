import assert from "node:assert/strict";
import { migrationRoles } from "../../../provider/dist/cdc/model/stream-roles.js";
import { verifySlotPlace } from "../../../provider/dist/cdc/source/slot-identity.js";
import type { MigrationSpec } from "../../../provider/dist/inputs/inputs.js";
import type { Journal } from "../../../provider/dist/store/journal.js";
import type { Finding } from "../../../provider/dist/findings.js";
import { RetainedWalMonitor, toleratedSeconds } from "../../../provider/dist/worker/monitoring/retained-wal-monitor.js";
import { endpointOf } from "../../cdc/scene";
import { assertSameContent } from "../../support/content";
import { EmbeddedServer } from "../../support/servers/embedded-server";
import { Lab } from "../../support/lab";
import { until } from "../../support/until";
import { tableSql, whileTargetIsLocked, writeWal } from "./retained-wal-scene";

describe("the wait before a slot beyond maxRetainedWal is dropped", () => {
  for (const [what, unconfirmed, isBlocked, seconds] of [
    ["is 30 s for a burst just above the limit", 65, true, 30],
    ["is 3 s far above the limit if the stream is blocked", 95, true, 3],
    ["is 30 s far above the limit if the stream is not blocked", 95, false, 30],
    ["is 120 s if the stream is up to date and only has to confirm", 5, false, 120],
  ] as const) {
    it(what, () => assert.equal(toleratedSeconds(unconfirmed, 60, isBlocked), seconds));
  }
});

describe("an unused slot", () => {
  const slot = "unread";
  const reported: string[] = [];
  let server: EmbeddedServer;
  let monitor: RetainedWalMonitor;

  before(async () => {
    const parameters = { wal_level: "logical", idle_replication_slot_timeout: "2s" };
    server = await EmbeddedServer.start({ major: 18, parameters });
    monitor = new RetainedWalMonitor({
      ...{ server: endpointOf(server.login), side: "source", slot, slotDatabase: "postgres", database: "d" },
      journal: {
        retainedWal: () => Promise.resolve(),
        event: () => Promise.resolve(),
        findings: async ([{ message, remedy }]: [Finding]) => void reported.push(`${message}: ${remedy}`),
      } as unknown as Journal,
      spec: () => ({ migrationName: "m" }) as MigrationSpec,
    });
  });
  after(async () => {
    await monitor.close();
    await server.stop();
  });

  it("causes a warning before its server invalidates it, and an error that names the cause afterwards", async () => {
    await server.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", { values: [slot] });
    await until("a warning is reported", () => reported.length > 0);
    assert.match(
      reported.join(),
      /^the slot unread is not read, and the source invalidates it after 2 s .*: on the source, .*idle_replication_slot_timeout = 0/,
    );
    await until("the server invalidates the slot", async () => {
      await server.query("CHECKPOINT");
      return monitor.signal.aborted;
    });
    const why =
      /PGM-501: .*no session read it for longer than idle_replication_slot_timeout.*To do: .*idle_replication_slot_timeout = 0.*start it again/s;
    assert.match(String(monitor.signal.reason), why);
    const session = await server.connect();
    await assert.rejects(
      verifySlotPlace(session, { name: slot, parts: migrationRoles }, () => 0n),
      why,
    );
    await session.query("SELECT pg_drop_replication_slot($1)", [slot]);
    await session.end();
    assert.equal(reported.length, 1);
  });
});

describe("WAL that the source retains for a migration", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start({ source: { parameters: { max_wal_size: "1GB" } } });
  });

  after(() => lab.stop());

  /** Makes the source remove WAL that slots still need. */
  async function loseSlots(database: string): Promise<void> {
    await lab.source.query("ALTER SYSTEM SET max_slot_wal_keep_size = '32MB'");
    await lab.source.query("SELECT pg_reload_conf()");
    try {
      await writeWal(lab, database, 120);
      await until("the slot is lost", async () => {
        await lab.source.query("CHECKPOINT");
        return (await lab.source.query("SELECT FROM pg_replication_slots WHERE wal_status = 'lost'")).length === 1;
      });
    } finally {
      await lab.source.query("ALTER SYSTEM RESET max_slot_wal_keep_size");
      await lab.source.query("SELECT pg_reload_conf()");
    }
  }

  it("is removed at the source's own limit: the migration fails and names the remedy", async () => {
    const database = await lab.database(tableSql);
    const resource = await lab.follow([database]);
    await whileTargetIsLocked(lab, database, () => loseSlots(database));
    await until("the migration has failed", async () => (await resource.refresh()).state === "Failed", 60);
    assert.match(
      resource.status.error!,
      /PGM-501.*removed WAL that the slot needs.*max_slot_wal_keep_size = -1.*then delete this migration and start it again/s,
    );
    assert.doesNotMatch(resource.status.error!, /stays on the source/);
    await resource.destroy();
  });

  it("is removed during the initial copy: the copy ends at once", async () => {
    // Copying its rows takes minutes.
    const database = await lab.database(
      `CREATE TABLE slow AS SELECT generate_series(1, 20000) AS id; ALTER TABLE slow ADD CHECK (pg_sleep(0.01) IS NOT NULL) NOT VALID;
       UPDATE pg_constraint SET convalidated = true WHERE conrelid = 'slow'::regclass`,
    );
    const resource = await lab.follow([database], { waitFor: "started" });
    await until("the worker copies tables", async () => {
      const { dbDetails } = (await resource.refresh()).currentSubStateDetails;
      return dbDetails[database]?.message === "copying tables";
    });
    await loseSlots(database);
    await until("the migration has failed", async () => (await resource.refresh()).state === "Failed", 60);
    assert.match(
      resource.status.error!,
      /PGM-501.*removed WAL that the slot needs.*then run pulumi up, which copies the/s,
    );
    await lab.source.query("ALTER TABLE slow DROP CONSTRAINT slow_check; ALTER TABLE slow ADD PRIMARY KEY (id)", {
      database,
    });
    const again = await resource.update({ triggerCutover: true, waitFor: "succeeded" });
    assert.equal(again.state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
