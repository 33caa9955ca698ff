const suite = require("./suite.cjs");

/** `npm run test:long`: more version pairs, more kills, larger databases, and the tools for development. */
module.exports = suite(
  (file) => file.endsWith(".long.test.ts"),
  [
    "faults/kills.long.test.ts",
    "offline/kills.long.test.ts",
    "pitfalls/beside-the-stream.long.test.ts",
    "faults/random-changes.long.test.ts",
    "offline/hard-databases.long.test.ts",
    "online/schema-changes/renames.long.test.ts",
    "online/schema-changes/replaced-tables.long.test.ts",
    "cdc/kills.long.test.ts",
    "worker/initial-copy-locks.long.test.ts",
    "online/verification/verification-under-load.long.test.ts",
    "programs/more-examples.long.test.ts",
    "lab-stack/deployment/runner-deployment.long.test.ts",
    "adventureworks/create-adventureworks.long.test.ts",
    "offline/shared-copy.long.test.ts",
    "dashboard/page.long.test.ts",
    "lifecycle/fence/fence.long.test.ts",
    "online/schema-changes/pauses.long.test.ts",
    "online/rollback/rollback.long.test.ts",
  ],
);
