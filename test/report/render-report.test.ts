import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { renderReport } from "../../provider/src/report/render-report";
import type { MigrationReport } from "../../provider/src/report/report-schema";

const at = "2030-01-31T22:00:00.000Z";
const server = { host: "<host>", port: 5432, user: "<user>", sslMode: "Prefer" };
const hostile = `"'><script>alert(1)</script>\u0000\u202e&`;

/** A report in which every text is hostile. */
const report: MigrationReport = {
  formatVersion: 1,
  generatedOn: at,
  generatedBy: hostile,
  migration: {
    ...{ id: hostile, name: hostile, mode: "Offline", option: "Migrate", state: hostile, subState: hostile },
    ...{ error: hostile, startedOn: at, workerVersion: hostile, workerHost: hostile },
  },
  source: server,
  target: { ...server, version: hostile, storageMb: 1 },
  inputs: { [hostile]: hostile },
  databases: [{ name: hostile, targetName: hostile, state: hostile, phase: hostile, message: hostile }],
  tables: [
    {
      ...{ database: hostile, schema: hostile, table: hostile, state: "errored", rowsCopied: 1, bytesCopied: 1 },
      error: hostile,
      comparison: {
        ...{ result: "different", by: "counts", occasion: "copy", lsn: hostile, at, sourceRows: 2, targetRows: 1 },
        firstDifferences: [{ key: hostile, kind: hostile }],
      },
    },
    { database: hostile, schema: "s", table: "later", state: "queued", rowsCopied: 0, bytesCopied: 0 },
  ],
  sequences: [
    { database: hostile, schema: hostile, sequence: hostile, lastValue: hostile, isCalled: true, setOn: "target", at },
  ],
  notMigrated: [{ database: hostile, kind: hostile, object: hostile, reason: hostile, code: hostile, remedy: hostile }],
  findings: [
    {
      ...{ status: "open", severity: "Warning", code: hostile, database: hostile, object: hostile, message: hostile },
      ...{ remedy: hostile, reportedOn: at },
    },
  ],
  targetCheck: {
    ...{ at, isComplete: false },
    problems: [
      {
        ...{ severity: "Failed", code: hostile, database: hostile, object: hostile, message: hostile },
        ...{ remedy: hostile },
      },
    ],
  },
  cutover: [{ database: hostile, step: hostile, seconds: 1 }],
  timeline: [{ at, database: hostile, state: hostile, subState: hostile, error: hostile }],
  events: [{ at, level: "error", database: hostile, message: hostile }],
  eventsOmitted: 3,
};

describe("the HTML of a report", () => {
  it("escapes every text", () => {
    const text = renderReport(report);
    assert(!/<script|<host|<user/.test(text));
    assert(!text.includes("\u0000") && !text.includes("\u202e"), "control characters are visible");
    assert.deepEqual(text.match(/="[^"]*&(?!(?:amp|lt|gt|quot|#39);)/g), null);
  });

  it("has a policy that allows only its own style", () => {
    const text = renderReport(report);
    const [, policy] = /Content-Security-Policy" content="([^"]*)"/.exec(text)!;
    const [, style] = /<style>([^]*?)<\/style>/.exec(text)!;
    const hash = createHash("sha256").update(style!).digest("base64");
    assert.equal(policy!.replaceAll("&#39;", "'"), `default-src 'none'; style-src 'sha256-${hash}'`);
    assert(!/ (?:src|style|on\w+)=/.test(text));
  });

  it("names tables that differ first, and counts tables that were not compared", () => {
    const text = renderReport(report);
    assert.match(text, /2 tables: 1 different, 1 not compared/);
    assert(text.indexOf("different</span>") < text.indexOf("s.later"));
  });
});
