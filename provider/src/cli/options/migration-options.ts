import { Option, type Command } from "commander";
import { InvalidInputError } from "../../errors.js";
import { addTargetOptions, type TargetFlags } from "./server-options.js";

/** Flags that select a migration and its target. */
export interface MigrationFlags extends TargetFlags {
  readonly name?: string;
  readonly migrationName?: string;
}

export function addMigrationOptions(command: Command): Command {
  command
    .option("-n, --name <migration>", "name of the migration")
    .addOption(new Option("--migration-name <migration>", "name of the migration, as in az before 2.86").hideHelp());
  return addTargetOptions(command);
}

/**
 * Before az 2.86, `--migration-name` was the migration and `--name` the server. Since then, they are `--name` and
 * `--server-name`.
 */
export function readMigrationFlags(flags: MigrationFlags): { name: string; target: TargetFlags } {
  const name = flags.migrationName ?? flags.name;
  if (name === undefined)
    throw new InvalidInputError([{ property: "--name", reason: "missing; pass the name of the migration" }]);
  const server = flags.serverName ?? (flags.migrationName === undefined ? undefined : flags.name);
  return { name, target: server === undefined ? flags : { ...flags, serverName: server } };
}
