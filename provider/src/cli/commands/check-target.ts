import type { Command } from "commander";
import pg from "pg";
import { CanceledError, InvalidInputError, RefusedError, UnreachableError, messageOf } from "../../errors.js";
import type { Problem } from "../../findings.js";
import { inputsWithoutSource } from "../migration/recorded-inputs.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { hasEnded } from "../../status.js";
import { recordTargetCheck } from "../../store/target-check.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { readAzureTarget, storageProblems } from "../../target-checks/azure-storage.js";
import { checkDatabase } from "../../target-checks/check-database.js";
import { compareQueryTimes } from "../../target-checks/compare-query-times.js";
import { checkParameters } from "../../target-checks/server-parameters.js";
import { exitCodes } from "../exit-code.js";
import { addMigrationOptions, type MigrationFlags } from "../options/migration-options.js";
import { withMigration, type FoundMigration } from "../migration/open-store.js";
import { formatFindings } from "../output/problem-lines.js";
import { addSourceOptions, resolveSource, type SourceFlags } from "../options/server-options.js";
import { addOutputOption, print, type OutputFlags } from "../output/print.js";
import { writeMessage } from "../output/terminal.js";

type Flags = MigrationFlags & SourceFlags & OutputFlags;

const examples = `
Examples:
  pg-migration check-target --service prod --name crm
  pg-migration check-target --service prod --name crm -o json

Reads only the catalogue. The report of the migration has the result. With the source's password, it also
compares the times of queries in pg_stat_statements on both sides. Exits with 6 when a finding has
failed.`;

export function addCheckTarget(program: Command): void {
  const command = program.command("check-target").description("check the target's databases after the migration");
  addSourceOptions(addMigrationOptions(command));
  addOutputOption(command.optionsGroup("Options:"), "table")
    .addHelpText("after", examples)
    .action((flags: Flags) => withMigration(flags, (found) => checkTarget(found, flags)));
}

async function checkTarget(found: FoundMigration, flags: Flags): Promise<void> {
  const { store, migration, target } = found;
  if (!hasEnded(migration.state))
    writeMessage(`${migration.name} has not ended (${migration.state}): its end may resolve findings`);
  const inputs = inputsWithoutSource(migration, target);
  const options = { database: store.database, purpose: "check target" };
  const problems: Problem[] = await withSession(target, options, checkParameters);
  problems.push(...(await checkStorage(found)));
  let isComplete = true;
  for (const database of inputs.dbsToMigrate.map((name) => targetDatabase(inputs, name))) {
    const ofDatabase = await orMessage(`${database} is not checked`, () => checkDatabase(target, database));
    isComplete &&= ofDatabase !== undefined;
    problems.push(...(ofDatabase ?? []));
  }
  problems.push(...(await slowerQueries(found, flags)));
  await recordTargetCheck(store, migration.name, { isComplete, problems });
  await print(flags, problems, () => (problems.length === 0 ? "no problems" : formatFindings(problems)));
  if (problems.some(({ state }) => state === "Failed")) process.exitCode = exitCodes.validationFailed;
  else if (!isComplete) process.exitCode = exitCodes.failed;
}

/** PGM-826, if the target's complete resource id is known. A message reports that Azure does not show the server. */
async function checkStorage({ migration: { spec }, target }: FoundMigration): Promise<Problem[]> {
  const id = spec.targetDbServerResourceId;
  if (id === undefined) return [];
  const server = await orMessage("the storage is not checked", () => readAzureTarget(id, target.auth));
  return server ? storageProblems(id, server) : [];
}

/** PGM-831. A message reports what cannot be compared, because a login or pg_stat_statements is missing. */
async function slowerQueries({ migration: { spec }, target }: FoundMigration, flags: Flags): Promise<Problem[]> {
  const source = await orMessage(notCompared, () => resolveSource(flags, spec.source));
  const problems: Problem[] = [];
  for (const database of source ? spec.dbsToMigrate : []) {
    const place = { endpoint: target, database: targetDatabase(spec, database) };
    const found = await orMessage(notCompared, () => compareQueryTimes({ endpoint: source!, database }, place));
    problems.push(...(found ?? []));
  }
  return problems;
}

const notCompared = "the times of queries are not compared";
const expected = [InvalidInputError, RefusedError, UnreachableError, CanceledError, pg.DatabaseError];

/** The other checks continue after an error, for which it returns undefined. */
async function orMessage<T>(what: string, run: () => Promise<T>): Promise<T | undefined> {
  try {
    return await run();
  } catch (error) {
    if (!expected.some((type) => error instanceof type)) throw error;
    writeMessage(`${what}: ${messageOf(error)}`);
    return undefined;
  }
}
