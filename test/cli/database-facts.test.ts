import assert from "node:assert/strict";
import { databaseFacts } from "../../provider/src/display/database-facts";
import type { DatabaseDetails } from "../../provider/src/status";

describe("databaseFacts", () => {
  const followed: DatabaseDetails = {
    ...{ databaseName: "crm", migrationState: "WaitingForCutoverTrigger", migrationOperation: "following" },
    ...{ fullLoadQueuedTables: 0, fullLoadLoadingTables: 0, fullLoadCompletedTables: 1, fullLoadErroredTables: 0 },
    ...{ cdcInsertCounter: 9, cdcUpdateCounter: 9, cdcDeleteCounter: 9, appliedChanges: 27, incomingChanges: 30 },
    ...{ latency: 1.25, latencySeconds: 1.25, isLagMeasured: true, lagBytes: 3 * 2 ** 20, pendingTransactions: 2 },
    ...{ bytesCopied: 0, bytesTotal: 0, rowsCopied: 0, rowsEstimated: 0, indexesCompleted: 0, indexesTotal: 0 },
    ...{ insertsPerSecond: 120.4, updatesPerSecond: 3, deletesPerSecond: 0, secondsToCatchUp: 40 },
    ...{ tablesCompared: 0, tablesDifferent: 0, tablesCounted: 0, percent: 100, tables: [] },
    ...{ retainedWalBytes: 2 ** 30, retainedWalLimitBytes: 10 * 2 ** 30 },
  };

  it("shows lag, rates, the time to catch up and retained WAL", () => {
    assert.deepEqual(databaseFacts(followed), [
      "behind 3.0 MB, 1.3 s, 2 transactions pending",
      "120 inserts/s, 3 updates/s, 0 deletes/s",
      "caught up in about 40 s",
      "WAL kept on the source: 1.0 GB of 10.0 GB",
    ]);
  });

  it("names the worker of another pool process that applies the changes", () => {
    assert.equal(databaseFacts({ ...followed, streamWorker: "db1:4711" })[0], "changes are applied by worker db1:4711");
  });

  it("shows running index builds and a running comparison", () => {
    const indexBuilds = [
      { index: "t_pkey", table: "public.t", seconds: 600, phase: "scanning table", percent: 42 },
      { index: "t_v_idx", table: "public.t", seconds: 3 },
    ];
    const comparison = { bytesCompared: 2 ** 30, bytesTotal: 4 * 2 ** 30, secondsLeft: 300 };
    assert.deepEqual(
      databaseFacts({ ...followed, migrationOperation: "copying", isLagMeasured: false, indexBuilds, comparison }),
      [
        "building t_pkey of public.t for 10 min (scanning table 42 %)",
        "building t_v_idx of public.t for 3 s",
        "compared 1.0 GB of 4.0 GB, about 5 min left",
      ],
    );
  });

  it("shows only retained WAL while the lag is not measured", () => {
    assert.deepEqual(databaseFacts({ ...followed, isLagMeasured: false }), [
      "WAL kept on the source: 1.0 GB of 10.0 GB",
    ]);
  });

  it("names the time of the last measurement once the worker is lost", () => {
    const lagUnknownSince = "2026-11-22T20:28:00.000Z";
    assert.equal(
      databaseFacts({ ...followed, isLagMeasured: false, lagUnknownSince })[0],
      "behind: unknown since 2026-11-22T20:28:00.000Z, no worker is running",
    );
  });

  it("shows the last verification and the rollback replication", () => {
    const verification = {
      state: "different",
      requestedBy: "monday",
      startedOn: "",
      tablesCompared: 7,
      tablesDifferent: 2,
    } as const;
    const rollbackReplication = { state: "following", latencySeconds: 0.5, lagBytes: 1024 } as const;
    assert.deepEqual(
      databaseFacts({
        ...followed,
        migrationOperation: "rollingBack",
        isLagMeasured: false,
        verification,
        rollbackReplication,
      }),
      [
        "verification (monday): different, 2 of 7 tables differ",
        "rollback replication: following, 1.0 kB behind, 0.5 s",
      ],
    );
    assert.deepEqual(databaseFacts({ ...followed, migrationOperation: "copying", isLagMeasured: false }), []);
  });
});
