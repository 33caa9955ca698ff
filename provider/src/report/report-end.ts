import { log } from "../log.js";
import { messageOf } from "../errors.js";
import type { Problem } from "../findings.js";
import type { Inputs } from "../inputs/inputs.js";
import { readReport } from "./read-report.js";
import { writeReport } from "./write-report.js";
import { hasEnded, type MigrationStatus } from "../status.js";
import { replaceRecordedFinding } from "../store/history/earlier-findings.js";
import { readStatus } from "../store/read-status.js";
import { withExistingStore, type Store } from "../store/store.js";

const code = "PGM-801";

/**
 * Writes the report that the input `report` requests, if the migration has ended. Never throws: a failure becomes a finding,
 * because the migration itself is complete.
 *
 * @returns the status, with that finding
 */
export async function reportEnd(inputs: Inputs, status: MigrationStatus): Promise<MigrationStatus> {
  const { report: path, migrationName } = inputs;
  if (path === undefined || !hasEnded(status.state)) return status;
  try {
    return await withExistingStore(inputs, `${migrationName} report`, async (store) => {
      if (!store) return status;
      // First, so that the report shows the finding of an earlier operation as resolved.
      await replaceRecordedFinding(store, migrationName, code);
      const failure = await write(store, migrationName, path);
      if (failure === undefined) return status;
      await replaceRecordedFinding(store, migrationName, code, findingOf(path, failure));
      return (await readStatus(store, migrationName)) ?? status;
    });
  } catch (error) {
    log.warn(`the report ${path} was not written: ${messageOf(error)}`);
    return status;
  }
}

/** Writes the report before the records are removed. Never throws. */
export async function reportBeforeErasure(
  store: Store,
  { migrationName, report }: Inputs,
  note: (line: string) => void,
): Promise<void> {
  if (report === undefined) return;
  const failure = await write(store, migrationName, report);
  if (failure !== undefined) note(`the report ${report} was not written: ${failure}`);
}

/** @returns why it failed */
async function write(store: Store, migration: string, path: string): Promise<string | undefined> {
  try {
    const report = await readReport(store, migration);
    if (report) await writeReport(report, path);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

const findingOf = (path: string, failure: string): Problem => ({
  ...{ type: "SchemaValidation", state: "Warning", code, object: path, objectType: "Instance" },
  message: `the report cannot be written: ${failure}`,
  remedy: "correct the input report, or run: pg-migration report --output report.html",
});
