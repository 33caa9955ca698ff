import assert from "node:assert/strict";
import { parseInputs } from "../../provider/src/inputs/check-inputs";
import { specOf } from "../../provider/src/inputs/inputs";
import { bytesPerSecond, type Sample } from "../../provider/src/units/rates";
import { Lease } from "../../provider/src/store/lease";
import { bumpGeneration, insertMigration } from "../../provider/src/store/records";
import { readSamples, recordSample } from "../../provider/src/store/samples";
import { Store } from "../../provider/src/store/store";
import { retentionSeconds } from "../../provider/src/worker/monitoring/throughput-samples";
import { Lab } from "../support/lab";

describe("samples of throughput and lag", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  it("are taken from the records, kept for their time, and written only by the lease's holder", async () => {
    const address = { target: { ...lab.administrator, sslMode: "Prefer" as const }, maintenanceDatabase: "postgres" };
    const store = await Store.open(address, "test");
    await insertMigration(store, specOf(parseInputs(lab.inputs(["app", "shop"], { migrationName: "measured" }))));
    const lease = await Lease.acquire(address, "measured");
    await recordSample(lease, 3600);
    await store.query(
      `INSERT INTO pgmigration.copy_task (migration, database, id, kind, table_schema, table_name, entry, bytes_copied, bytes_total)
       SELECT 'measured', name, 0, 'table', 'public', 't', 't', 1000, 5000000000 FROM unnest('{app,shop}'::text[]) name`,
    );
    await store.query(
      `UPDATE pgmigration.database
          SET phase = 'following', follow = jsonb_build_object('lagBytes', 300, 'latencySeconds', CASE name WHEN 'app' THEN 1.5 ELSE 0.5 END)
        WHERE migration = 'measured'`,
    );
    await recordSample(lease, -1);
    const samples = await readSamples(store, "measured");
    assert.deepEqual(
      samples.map(({ atMs: _, ...measured }) => measured),
      [
        { bytesCopied: 0, bytesTotal: 0, lagBytes: 0, latencySeconds: 0 },
        { bytesCopied: 2000, bytesTotal: 10_000_000_000, lagBytes: 600, latencySeconds: 1.5 },
      ],
    );
    assert.deepEqual(await readSamples(store, "measured", samples[0]!.atMs), samples.slice(1), "only newer samples");
    assert.deepEqual(await readSamples(store, "measured", samples[1]!.atMs), []);

    await recordSample(lease, 3600);
    const kept = await readSamples(store, "measured");
    assert.deepEqual(kept[0], samples[0]);
    assert.equal(kept.length, 2, "the second sample has expired");

    await bumpGeneration(store, "measured");
    await recordSample(lease, 3600);
    assert.equal((await readSamples(store, "measured")).length, 2, "a worker that was succeeded writes nothing");
    await lease.release();
    await store.query("DELETE FROM pgmigration.migration WHERE name = 'measured'");
    assert.deepEqual(await readSamples(store, "measured"), [], "they are deleted with their migration");
    await store.removeIfEmpty();
    await store.close();
  });

  it("stay few during a long migration", () => {
    const everySeconds = 2;
    const atMost = 4200;
    for (const days of [1, 30, 365]) {
      const taken = (days * 24 * 3600) / everySeconds;
      let kept = 0;
      for (let n = 0; n < taken; n++) if ((taken - n) * everySeconds <= retentionSeconds(n)) kept++;
      assert(kept <= atMost, `${kept} after ${days} days`);
    }
  });

  it("give bytes per second over ten seconds, or since the previous sample if they are further apart", () => {
    const sample = (seconds: number, bytesCopied: number): Sample => ({
      atMs: seconds * 1000,
      bytesCopied,
      bytesTotal: 0,
      lagBytes: 0,
      latencySeconds: 0,
    });
    const samples = [sample(0, 0), sample(60, 6000), sample(120, 18_000), sample(122, 18_100), sample(124, 19_000)];
    assert.deepEqual(
      samples.map((_, i) => bytesPerSecond(samples, i)),
      [0, 100, 200, 50, 250],
    );
    assert.equal(bytesPerSecond([...samples, sample(126, 0)]), 0, "a restarted copy has no negative rate");
    assert.equal(bytesPerSecond([]), 0);
  });
});
