import type { Command } from "commander";
import * as lifecycle from "../../resource/lifecycle.js";
import type { Inputs } from "../../inputs/inputs.js";
import { usualMaintenanceDatabase } from "../../inputs/maintenance-database.js";
import { hasObjectsOnSource, readDatabases } from "../../store/records.js";
import { addMigrationOptions, readMigrationFlags, type MigrationFlags } from "../options/migration-options.js";
import { withAnyMigration, type FoundMigration } from "../migration/open-store.js";
import { writeMessage } from "../output/terminal.js";
import { confirm } from "../options/prompt.js";
import { inputsWithoutSource, recordedInputs } from "../migration/recorded-inputs.js";
import { addSourceOptions, resolveSource, type SourceFlags } from "../options/server-options.js";

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
  const { name } = readMigrationFlags(flags);
  const inputs = await withAnyMigration(flags, (found) => inputsToRemove(found, flags));
  // The session on the records is closed: while it is open, their own database could not be dropped.
  await lifecycle.remove({ ...inputs });
  writeMessage(`deleted ${name}; the migrated data is unchanged`);
}

async function inputsToRemove(
  { store, target, migration }: FoundMigration,
  flags: Flags,
): Promise<Readonly<Partial<Inputs>>> {
  const { name, state, spec, damage } = migration;
  const record = damage ? "damaged record" : state;
  await confirm(`Delete the migration ${name} (${record}), its slots, publications and records?`, flags.yes ?? false);
  if (damage) {
    // The records of its databases name the objects. Flags or the environment name the source, if its own record is damaged.
    const source = await resolveSource(flags, spec.source.host === "" ? {} : spec.source);
    const maintenanceDatabase = flags.maintenanceDatabase ?? usualMaintenanceDatabase;
    const { host, port } = spec.target.host === "" ? target : spec.target;
    return { migrationName: name, maintenanceDatabase, source, target: { ...target, host, port } };
  }
  const isOnSource = (await readDatabases(store, name)).some(hasObjectsOnSource);
  if (isOnSource) return recordedInputs(migration, target, flags);
  // With the password, sessions that a killed worker left on the source are ended, too.
  return recordedInputs(migration, target, flags, false).catch(() => inputsWithoutSource(migration, target));
}
