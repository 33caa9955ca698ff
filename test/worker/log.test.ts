import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";

const program = `
const { log, logMigration } = require(${JSON.stringify(resolve("provider/dist/log.js"))});
log.warn("before");
logMigration("crm-online");
log.debug("hidden");
log.error({ database: "crm\\nx" }, "table \\u001b[2J\\u009b2J\\n2030-01-01 is gone");
`;

/** Lines that the program writes to standard error; standard output stays free for answers. */
async function linesWith(environment: Record<string, string>): Promise<string[]> {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ["-e", program], {
    env: { PATH: process.env.PATH, ...environment },
  });
  assert.equal(stdout, "");
  return stderr.trimEnd().split("\n");
}

describe("the log", () => {
  it("writes time, level, migration and database as text, and escapes control characters", async () => {
    const [before, error, ...rest] = await linesWith({});
    assert.equal(before, "before");
    assert.match(error!, /^\d{4}-\d\d-\d\dT[\d:.]+Z ERROR crm-online: \[crm\\nx\] table \\x1b\[2J\\u009b2J$/);
    assert.deepEqual(rest, ["  2030-01-01 is gone"], "a line break in a name begins no other line");
  });

  it("writes one JSON object a line if PG_MIGRATION_LOG_FORMAT is json", async () => {
    const lines = await linesWith({ PG_MIGRATION_LOG_FORMAT: "json", PG_MIGRATION_LOG_LEVEL: "debug" });
    const [before, debug, error] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual([before!.level, before!.message], ["warn", "before"]);
    assert.deepEqual([debug!.level, debug!.migration], ["debug", "crm-online"]);
    const { time, ...fields } = error!;
    assert.match(String(time), /Z$/);
    assert.deepEqual(fields, {
      ...{ level: "error", migration: "crm-online", database: "crm\nx" },
      message: "table \u001b[2J\u009b2J\n2030-01-01 is gone",
    });
    assert.doesNotMatch(lines.join(""), /[\u007f-\u009f]/);
  });
});
