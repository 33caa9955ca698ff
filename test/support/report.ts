import assert from "node:assert/strict";
import { readReport } from "../../provider/dist/report/read-report.js";
import { renderReport } from "../../provider/dist/report/render-report.js";
import { reportSchema, type MigrationReport } from "../../provider/dist/report/report-schema.js";
import { withExistingStore } from "../../provider/dist/store/store.js";
import { qualify } from "../../provider/src/postgres/identifiers";
import type { Lab } from "./lab";
import type { Resource } from "./resource";

/** The report of a resource's migration. Checks that its JSON follows the schema, and that it can be rendered. */
export async function reportOf(lab: Lab, { inputs }: Resource): Promise<MigrationReport> {
  const address = { target: { ...lab.administrator, sslMode: "Prefer" as const }, maintenanceDatabase: "postgres" };
  const report = await withExistingStore(
    address,
    "report",
    (store) => store && readReport(store, inputs.migrationName as string),
  );
  assert(report);
  assert.match(renderReport(report), /^<!doctype html>\n/);
  return strictlyParsed(JSON.stringify(report));
}

/** Fails if the JSON lacks a field of the schema, or has another one. */
export const strictlyParsed = (json: string): MigrationReport => {
  const parsed = JSON.parse(json) as unknown;
  const report = reportSchema.parse(parsed);
  assert.deepEqual(report, parsed, "the report has only fields of its schema");
  return report;
};

/** Fails unless the report has every table of the database, with the numbers of rows that source and target have. */
export async function assertReportedRows(lab: Lab, report: MigrationReport, database: string): Promise<void> {
  const reported = report.tables.filter((one) => one.database === database);
  const tables = await lab.querySource<{ schema: string; table: string }>(
    database,
    `SELECT schemaname AS schema, tablename AS table FROM pg_tables
      WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2`,
  );
  const nameOf = ({ schema, table }: { schema: string; table: string }): string => qualify(schema, table);
  assert.deepEqual(reported.map(nameOf).sort(), tables.map(nameOf).sort());
  const counts = tables.map((one) => `(SELECT count(*)::int FROM ${nameOf(one)})`);
  const [row] = await lab.querySource<{ counts: number[] }>(database, `SELECT ARRAY[${counts.join(", ")}] AS counts`);
  const rowsOf = new Map(tables.map((one, index) => [nameOf(one), row!.counts[index]!]));
  for (const one of reported) {
    const { sourceRows, targetRows } = one.comparison ?? {};
    assert.deepEqual([sourceRows, targetRows], [rowsOf.get(nameOf(one)), rowsOf.get(nameOf(one))], nameOf(one));
  }
}

/** `A → B`, for the states of the whole migration. */
export const statesIn = ({ timeline }: MigrationReport): string[] =>
  timeline.flatMap(({ database, state, subState }) => (database === undefined ? [`${state} ${subState}`] : []));
