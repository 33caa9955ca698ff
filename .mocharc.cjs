const { chmodSync, mkdtempSync, rmSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");

// A temporary folder for the whole run, which leaves nothing in the system's. It is made here because tsx, which is loaded next,
// keeps its cache there. The processes of a run inherit it.
if (process.env.PG_MIGRATION_TEST_RUN === undefined) {
  const folder = mkdtempSync(join(tmpdir(), "pg-migration-run-"));
  // Servers run as another user if root runs the tests.
  chmodSync(folder, 0o755);
  process.env.PG_MIGRATION_TEST_RUN = process.env.TMPDIR = folder;
  process.on("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
}

module.exports = {
  require: ["tsx", "./test/support/data-in-memory.ts", "./test/support/leaks.ts", "./test/support/file-seconds.ts"],
  timeout: 300_000,
  slow: 10_000,
  exit: false,
};
