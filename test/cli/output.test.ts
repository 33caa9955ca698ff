import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { CommanderError } from "commander";
import { exitCodeOf, exitCodes } from "../../provider/src/cli/exit-code";
import { inCommandTerms } from "../../provider/src/cli/output/command-terms";
import { errorText } from "../../provider/src/cli/output/error-text";
import { print } from "../../provider/src/cli/output/print";
import { buildProgram } from "../../provider/src/cli/program";
import { formatTable } from "../../provider/src/display/format-table";
import { escapeControls, escapeLine, truncate } from "../../provider/src/units/terminal-text";
import {
  CanceledError,
  ContentDiffersError,
  EngineError,
  InvalidInputError,
  NotFoundError,
  RefusedError,
  TakenOverError,
  TimeoutError,
  UnreachableError,
} from "../../provider/src/errors";
import { MigrationIncompleteError } from "../../provider/src/resource/lifecycle";
import { estimateSecondsLeft } from "../../provider/src/units/rates";

describe("the command's output", () => {
  it("escapes control characters and marks that reverse text", () => {
    assert.equal(escapeControls("x\u001b]0;pwned\u0007\u001b[2J"), "x\\x1b]0;pwned\\x07\\x1b[2J");
    assert.equal(escapeControls("a\u009b2J\u202eb\tc\nd"), "a\\u009b2J\\u202eb\tc\nd");
    assert.equal(escapeLine("a\r\nb\tc"), "a\\r\\nb\\tc");
    assert.equal(truncate("x".repeat(1200), 1000), `${"x".repeat(1000)}… (200 more characters)`);
  });

  it("aligns the columns of a table, whatever the names contain", () => {
    const table = formatTable(
      ["Name", "Rows"],
      [
        ["日本", "1"],
        ["line\nbreak", "22"],
        ["é", ""],
      ],
    );
    assert.equal(
      table,
      ["Name         Rows", "-----------  ----", "日本         1", "line\\nbreak  22", "é"].join("\n"),
    );
  });

  it("has a column for each key of a list's objects, in which every value is below its key", async () => {
    const written: string[] = [];
    const write = process.stdout.write.bind(process.stdout);
    process.stdout.write = (text) => written.push(String(text)) > 0;
    try {
      const findings = [{ code: "A" }, { state: "Failed", code: "B" }];
      await print({ output: "table", query: "@" }, findings, () => "");
      await print({ output: "table", query: "[].[code, state]" }, findings, () => "");
      await print({ output: "table", query: "[].code" }, findings, () => "");
    } finally {
      process.stdout.write = write;
    }
    assert.deepEqual(written, [
      "Code  State\n----  ------\nA\nB     Failed\n",
      "Column1  Column2\n-------  -------\nA\nB        Failed\n",
      "Result\n------\nA\nB\n",
    ]);
  });

  it("has options whose values may have any case", () => {
    const [doctor] = buildProgram().commands.filter((command) => command.name() === "doctor");
    doctor!.parseOptions(["--source-type", "aws_rds", "-o", "JSON"]);
    assert.deepEqual([doctor!.opts().sourceType, doctor!.opts().output], ["AWS_RDS", "json"]);
  });

  it("estimates the remaining time only after ten seconds", () => {
    assert.equal(estimateSecondsLeft({ done: 4000, total: 64e6, seconds: 1 }), undefined);
    assert.equal(estimateSecondsLeft({ done: 0, total: 100, seconds: 60 }), undefined);
    assert.equal(estimateSecondsLeft({ done: 200, total: 1000, seconds: 20 }), 80);
  });

  it("prints what happened and what to do on two lines", () => {
    const help = "pg-migration list --help";
    const invalid = new InvalidInputError([{ property: "--port", reason: "invalid" }]);
    assert.equal(errorText(invalid, help), `pg-migration: --port: invalid\n  To do: see ${help}`);
    const refused = new RefusedError("crm exists", { remedy: "set overwriteDbsInTarget to true", code: "603101" });
    assert.equal(errorText(refused, help), "pg-migration: 603101: crm exists\n  To do: --overwrite");
    assert.match(errorText(new TypeError("x is undefined"), help), /^pg-migration: x is undefined\n {2}To do: report/);
  });

  it("exits with the documented code of each error", () => {
    const incomplete = (state: string, cause?: Error): MigrationIncompleteError =>
      new MigrationIncompleteError(
        "id",
        { currentStatus: { state, currentSubStateDetails: { dbDetails: {} } } },
        "",
        cause,
      );
    const expected: readonly (readonly [Error, number])[] = [
      [new CommanderError(1, "x", "unknown option"), exitCodes.wrongCommandLine],
      [new CommanderError(0, "x", "help"), exitCodes.done],
      [new EngineError("x"), exitCodes.failed],
      [new InvalidInputError([]), exitCodes.wrongCommandLine],
      [new NotFoundError("x"), exitCodes.notFound],
      [new RefusedError("x"), exitCodes.refused],
      [new UnreachableError("x"), exitCodes.unreachable],
      [new ContentDiffersError("x"), exitCodes.contentDiffers],
      [new TimeoutError("x"), exitCodes.timedOut],
      [new CanceledError("x"), exitCodes.canceled],
      [new TakenOverError("x"), exitCodes.takenOver],
      [incomplete("ValidationFailed"), exitCodes.validationFailed],
      [incomplete("Canceled"), exitCodes.canceled],
      [incomplete("Failed"), exitCodes.failed],
      [incomplete("InProgress", new TimeoutError("x")), exitCodes.timedOut],
    ];
    for (const [error, code] of expected) assert.equal(exitCodeOf(error), code, error.name);
    assert.deepEqual([...new Set(expected.map(([, code]) => code))].sort(), Object.values(exitCodes).sort());
  });

  it("names the command instead of Pulumi's in every message of the engine", () => {
    assert.equal(
      inCommandTerms("set overwriteDbsInTarget to true to replace it, then run pulumi up again"),
      "--overwrite to replace it, then pg-migration update again",
    );
    const damaged = "invalid spec.migrationName and spec.target.host, set migrationName";
    assert.equal(inCommandTerms(damaged), "invalid spec.migrationName and spec.target.host, set --name");
    const root = join(__dirname, "../../provider/src");
    const found = execFileSync("grep", [
      "-rhoE",
      "--include=*.ts",
      // Texts about the project that init writes name Pulumi's own commands.
      "--exclude-dir=project",
      "\\bpulumi (up|destroy|refresh|preview|state|import|stack)\\b",
      root,
    ]);
    const phrases = [...new Set(found.toString().trim().split("\n"))];
    assert(phrases.length > 0);
    for (const phrase of phrases) assert.doesNotMatch(inCommandTerms(`then run ${phrase} again`), /pulumi/, phrase);
  });
});
