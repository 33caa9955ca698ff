import type { Command } from "commander";
import * as lifecycle from "../../resource/lifecycle.js";
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
    .action((flags: Flags) => withMigration(flags, (found) => remove(found, flags)));
}

async function remove({ store, target, migration }: FoundMigration, flags: Flags): Promise<void> {
  await confirm(
    `Delete the migration ${migration.name} (${migration.state}), its slots, publications and records?`,
    flags.yes ?? false,
  );
  const databases = await readDatabases(store, migration.name);
  const isOnSource = databases.some(({ slot, publications }) => slot !== undefined || publications.length > 0);
  const inputs = isOnSource ? await recordedInputs(migration, target, flags) : inputsWithoutSource(migration, target);
  await lifecycle.remove("", { ...inputs });
  writeMessage(`deleted ${migration.name}; the migrated data is unchanged`);
}
