import type { Command } from "commander";
import * as lifecycle from "../../resource/lifecycle.js";
import type { Inputs } from "../../inputs/inputs.js";
import { readDatabases } from "../../store/records.js";
import { addMigrationOptions, type MigrationFlags } from "../options/migration-options.js";
import { withMigration, type FoundMigration } from "../migration/open-store.js";
import { writeMessage } from "../output/terminal.js";
import { confirm } from "../options/prompt.js";
import { inputsWithoutSource, recordedInputs } from "../migration/recorded-inputs.js";
import { addSourceOptions, type SourceFlags } from "../options/server-options.js";

interface Flags extends MigrationFlags, SourceFlags {
  readonly yes?: boolean;
}

export function addDelete(program: Command): void {
  const command = program
    .command("delete")
    .description("stop a migration and remove all but the migrated data")
    .option("-y, --yes", "skip the confirmation");
  addSourceOptions(addMigrationOptions(command))
    .addHelpText("after", "\nExample:\n  pg-migration delete --service prod --name crm --yes")
    .action(remove);
}

async function remove(flags: Flags): Promise<void> {
  const inputs = await withMigration(flags, (found) => inputsToRemove(found, flags));
  // The session on the records is closed: while it is open, their own database could not be dropped.
  await lifecycle.remove({ ...inputs });
  writeMessage(`deleted ${inputs.migrationName}; the migrated data is unchanged`);
}

async function inputsToRemove({ store, target, migration }: FoundMigration, flags: Flags): Promise<Inputs> {
  await confirm(
    `Delete the migration ${migration.name} (${migration.state}), its slots, publications and records?`,
    flags.yes ?? false,
  );
  const databases = await readDatabases(store, migration.name);
  const isOnSource = databases.some(({ slot, publications }) => slot !== undefined || publications.length > 0);
  return isOnSource ? recordedInputs(migration, target, flags) : inputsWithoutSource(migration, target);
}
