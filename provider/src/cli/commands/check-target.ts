import type { Command } from "commander";
import type { Problem } from "../../findings.js";
import { inputsWithoutSource } from "../migration/recorded-inputs.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { hasEnded } from "../../status.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { checkDatabase } from "../../target-checks/check-database.js";
import { checkParameters } from "../../target-checks/server-parameters.js";
import { exitCodes } from "../exit-code.js";
import { addMigrationOptions, type MigrationFlags } from "../options/migration-options.js";
import { withMigration, type FoundMigration } from "../migration/open-store.js";
import { formatFindings } from "../output/problem-lines.js";
import { addOutputOption, print, type OutputFlags } from "../output/print.js";
import { writeMessage } from "../output/terminal.js";

const examples = `
Examples:
  pg-migration check-target --service prod --name crm
  pg-migration check-target --service prod --name crm -o json

Reads only the catalogue, and changes nothing. Exits with 6 when a finding has
failed.`;

export function addCheckTarget(program: Command): void {
  const command = program.command("check-target").description("check the target's databases after the migration");
  addMigrationOptions(command);
  addOutputOption(command.optionsGroup("Options:"), "table")
    .addHelpText("after", examples)
    .action((flags: MigrationFlags & OutputFlags) => withMigration(flags, (found) => checkTarget(found, flags)));
}

async function checkTarget({ store, migration, target }: FoundMigration, flags: OutputFlags): Promise<void> {
  if (!hasEnded(migration.state))
    writeMessage(`${migration.name} has not ended (${migration.state}): its end may resolve findings`);
  const inputs = inputsWithoutSource(migration, target);
  const options = { database: store.database, purpose: "check target" };
  const problems: Problem[] = await withSession(target, options, checkParameters);
  for (const database of inputs.dbsToMigrate)
    problems.push(...(await checkDatabase(target, targetDatabase(inputs, database))));
  await print(flags, problems, () => (problems.length === 0 ? "no problems" : formatFindings(problems)));
  if (problems.some(({ state }) => state === "Failed")) process.exitCode = exitCodes.validationFailed;
}
