const suite = require("./suite.cjs");

/** `npm test`: every test file except the long ones. */
module.exports = suite(
  (file) => !file.endsWith(".long.test.ts"),
  [
    "programs/examples.test.ts",
    "cdc/exactly-once.test.ts",
    "online/rollback/rollback.test.ts",
    "lifecycle/fence.test.ts",
    "online/keyless-tables.test.ts",
    "cli/own-commands.test.ts",
    "dashboard/page.test.ts",
    "pitfalls/beside-the-stream.test.ts",
    "faults/kills.test.ts",
    "online/schema-changes/at-cutover.test.ts",
    "online/schema-changes/pauses.test.ts",
    "lifecycle/by-database.test.ts",
    "lifecycle/cutover.test.ts",
    "cli/az-commands.test.ts",
    "offline/hard-databases.test.ts",
    "online/verification/verification.test.ts",
    "lifecycle/online.test.ts",
    "worker/workers.test.ts",
    "online/schema-changes/keys.test.ts",
    "lifecycle/safety.test.ts",
    "online/slots.test.ts",
    "online/retained-wal/retained-wal.test.ts",
    "cdc/backlog.test.ts",
    "cdc/troubles.test.ts",
  ],
);
