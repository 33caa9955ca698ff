import assert from "node:assert/strict";
import { limitingProcess } from "../../bench/cores/limiting-process";
import { pagesOf } from "../../bench/limit/copy-limit";
import {
  compareResults,
  type Contended,
  contenderTable,
  markdownTable,
  type SetResult,
  summarizeRounds,
  summaryTable,
  unitTable,
} from "../../bench/results";

const contended = (name: string, medianSeconds: number, version?: string): Contended => ({
  ...{ name, version, medianSeconds, workerRssBytes: 100 * 2 ** 20 },
  cpuSeconds: { source: 1, worker: 2, target: 3 },
  limiting: { name: "target, session: COPY", busy: 0.987 },
});

const set = (name: string, seconds: number, more: Partial<SetResult> = {}): SetResult =>
  compareResults({ name, cores: "shared", ours: contended("this", seconds), peers: [], variants: [], ...more });

describe("results of the benchmark", () => {
  it("names the process that is closest to its quota", () => {
    const processes = [
      { name: "worker", cpuSeconds: 4, quotaCores: 1 },
      { name: "target", cpuSeconds: 2, quotaCores: 0.25 },
      { name: "all 2 cores", cpuSeconds: 9, quotaCores: 2 },
    ];
    assert.deepEqual(limitingProcess(processes, 10), { name: "target", busy: 0.8 });
    assert.deepEqual(limitingProcess([], 10), { name: "none", busy: 0 });
  });

  it("takes medians, and the limiting process of the round in the middle", () => {
    const round = (seconds: number) => ({
      ...{ seconds, cpuSeconds: { source: seconds, worker: 1, target: 2 }, workerRssBytes: seconds },
      limiting: { name: `round of ${seconds} s`, busy: 1 },
    });
    const summary = summarizeRounds("this", [round(9), round(1), round(5)], "1.2");
    assert.equal(summary.medianSeconds, 5);
    assert.equal(summary.cpuSeconds.source, 5);
    assert.equal(summary.workerRssBytes, 9);
    assert.equal(summary.limiting.name, "round of 5 s");
  });

  it("compares with the best peer and with the limit", () => {
    const result = set("tables", 6, {
      peers: [contended("slow", 12), contended("quick", 8, "0.18")],
      limit: contended("the servers' own work", 3),
    });
    assert.equal(result.ratioToBestPeer, 0.75);
    assert.equal(result.ratioToLimit, 2);
    assert.equal(
      summaryTable([result]),
      [
        "| set    | cores  | this | best peer        | ratio | limit | ratio to the limit |",
        "| ------ | ------ | ---- | ---------------- | ----- | ----- | ------------------ |",
        "| tables | shared | 6.00 | quick 0.18: 8.00 | 0.75  | 3.00  | 2.00               |",
      ].join("\n"),
    );
    const rows = contenderTable([result]).split("\n").slice(2);
    assert.equal(rows.length, 4);
    assert.match(rows[0]!, /^\| tables \| this +\| 6\.00 .*\| 1\.00 .*\| 2\.00 .*\| 3\.00 .*\| 100 .*\(99 %\) \|$/);
  });

  it("leaves cells empty without peers and without limit", () => {
    const result = set("tables", 6);
    assert.equal(result.ratioToBestPeer, undefined);
    assert.match(summaryTable([result]), /\| 6\.00 \| {11}\| {7}\| {7}\| {20}\|$/);
  });

  it("states the cost per unit, relative to the first set of the unit", () => {
    const table = unitTable([
      set("1 GB", 8, { units: { unit: "GB", count: 1 } }),
      set("5 GB", 60, { units: { unit: "GB", count: 5 } }),
      set("1000 tables", 2, { units: { unit: "table", count: 1000 } }),
      set("without unit", 2),
    ]);
    const cells = table.split("\n").map((row) => row.split("|").map((cell) => cell.trim()));
    assert.deepEqual(
      cells.slice(2).map((row) => row.slice(5, 7)),
      [
        ["8.00 s", "1.00"],
        ["12.00 s", "1.50"],
        ["2.00 ms", "1.00"],
      ],
    );
  });

  it("writes tables in the form of the documents", () => {
    assert.equal(markdownTable(["a", "name"], [["1", "x"]]), "| a   | name |\n| --- | ---- |\n| 1   | x    |");
  });

  it("divides the pages of a table without gap or overlap, and without end", () => {
    assert.equal(pagesOf(100, 0, 1), "");
    assert.deepEqual(
      [0, 1, 2].map((part) => pagesOf(100, part, 3)),
      [
        " WHERE ctid >= '(0,0)' AND ctid < '(33,0)'",
        " WHERE ctid >= '(33,0)' AND ctid < '(66,0)'",
        " WHERE ctid >= '(66,0)'",
      ],
    );
  });
});
