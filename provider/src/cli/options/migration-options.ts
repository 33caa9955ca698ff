import { Option, type Command } from "commander";
import { InvalidInput } from "../../errors.js";
import { addTargetOptions, type TargetFlags } from "./server-options.js";

/** What says which migration on which target is meant. */
export interface MigrationFlags extends TargetFlags {
  readonly name?: string;
  readonly migrationName?: string;
}

export function addMigrationOptions(command: Command): Command {
  command
    .option("-n, --name <migration>", "the migration's name")
    .addOption(new Option("--migration-name <migration>", "as before az 2.86, where --name is the server").hideHelp());
  return addTargetOptions(command);
}

/**
 * Until az 2.86 `--migration-name` named the migration and `--name` the server; from then on `--name` and
 * `--server-name`.
 */
export function readMigrationFlags(flags: MigrationFlags): { name: string; target: TargetFlags } {
  const name = flags.migrationName ?? flags.name;
  if (name === undefined) throw new InvalidInput([{ property: "--name", reason: "name the migration" }]);
  const server = flags.serverName ?? (flags.migrationName === undefined ? undefined : flags.name);
  return { name, target: server === undefined ? flags : { ...flags, serverName: server } };
}
