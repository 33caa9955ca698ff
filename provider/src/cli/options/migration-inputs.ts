import { Option, type Command } from "commander";
import { parseInputs } from "../../inputs/check-inputs.js";
import { InvalidInputError } from "../../errors.js";
import type { Inputs } from "../../inputs/inputs.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { readPropertiesFile, type MigrationBody } from "./properties-file.js";
import { readMigrationFlags, type MigrationFlags } from "./migration-options.js";
import { webhookInput } from "./webhook-environment.js";
import {
  addSourceOptions,
  resolveSource,
  resolveTarget,
  type SourceFlags,
  type TargetFlags,
} from "./server-options.js";

/** Flags that describe a migration that is not recorded yet. */
export interface InputFlags extends MigrationFlags, SourceFlags {
  readonly properties?: string;
  readonly databases?: readonly string[];
  readonly migrationMode?: string;
  readonly migrationOption?: string;
  readonly overwrite?: boolean;
  readonly tags?: readonly string[];
}

export function addBodyOptions(command: Command): Command {
  command
    .optionsGroup("The migration:")
    .option("-b, --properties <file>", "JSON body of Azure's REST API")
    .option("-d, --databases <name...>", "databases to migrate");
  return addSourceOptions(command);
}

export function addModeOptions(command: Command): Command {
  return command
    .optionsGroup("The migration:")
    .addOption(choice("--migration-mode <mode>", "migration mode", ["Offline", "Online"]));
}

export function addInputOptions(command: Command): Command {
  addModeOptions(command)
    .addOption(
      choice("--migration-option <option>", "validate only, migrate only, or both", [
        "Validate",
        "Migrate",
        "ValidateAndMigrate",
      ]),
    )
    .option("--overwrite", "replace existing databases on the target")
    .option("--tags <key=value...>", "tags to record with the migration");
  return addBodyOptions(command);
}

/** Values in any case, as in az. An unknown value is rejected later, with all other inputs. */
function choice(flags: string, description: string, values: readonly string[]): Option {
  return new Option(flags, `${description}: ${values.join(", ")}`).argParser(
    (text) => values.find((value) => value.toLowerCase() === text.toLowerCase()) ?? text,
  );
}

const emptyBody: MigrationBody = { source: {}, target: {}, inputs: {} };

const bodyOf = (flags: InputFlags): MigrationBody =>
  flags.properties === undefined ? emptyBody : readPropertiesFile(flags.properties);

/** Inputs from flags, the properties file and the environment, in this order of precedence. */
export async function resolveInputs(flags: InputFlags, defaultName?: string): Promise<Inputs> {
  const body = bodyOf(flags);
  const named = flags.name ?? flags.migrationName ?? defaultName;
  const { name, target } = readMigrationFlags(named === undefined ? flags : { ...flags, name: flags.name ?? named });
  return parseInputs({
    ...webhookInput(),
    ...body.inputs,
    migrationName: name,
    source: await sourceWith(flags, body),
    target: await targetWith(target, body),
    maintenanceDatabase: flags.maintenanceDatabase,
    ...(flags.databases ? { dbsToMigrate: flags.databases } : {}),
    ...(flags.migrationMode ? { migrationMode: flags.migrationMode } : {}),
    ...(flags.migrationOption ? { migrationOption: flags.migrationOption } : {}),
    ...(flags.overwrite ? { overwriteDbsInTarget: true } : {}),
    ...(flags.tags ? { tags: tagsOf(flags.tags) } : {}),
  });
}

/** As in az: `key=value`, `key` for an empty value, and one empty string for no tags. */
const tagsOf = (texts: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    texts
      .filter((text) => text !== "")
      .map((text) => {
        const [key = "", ...value] = text.split("=");
        return [key, value.join("=")];
      }),
  );

/** The source and its databases, for commands that need no target. */
export async function resolveSourceAndDatabases(
  flags: InputFlags,
): Promise<{ source: Endpoint; databases: readonly string[] }> {
  const body = bodyOf(flags);
  const databases = flags.databases ?? (body.inputs.dbsToMigrate as readonly string[] | undefined);
  if (databases === undefined || databases.length === 0)
    throw new InvalidInputError([
      { property: "--databases", reason: "missing; pass --databases, or --properties with dbsToMigrate" },
    ]);
  return { source: await sourceWith(flags, body), databases };
}

/** The target, if flags, the properties file or the environment name one. */
export async function resolveOptionalTarget(flags: InputFlags): Promise<Endpoint | undefined> {
  const body = bodyOf(flags);
  const { PGHOST, PGSERVICE } = process.env;
  const names = [flags.serverName, flags.service, flags.host, body.target.host, PGSERVICE, PGHOST];
  return names.some((name) => name !== undefined && name !== "") ? targetWith(flags, body) : undefined;
}

async function sourceWith(flags: SourceFlags, { source }: MigrationBody): Promise<Endpoint> {
  const { password, ...known } = source;
  return withBodyPassword("PG_MIGRATION_SOURCE_PASSWORD", password, () => resolveSource(flags, known));
}

/** The properties file comes after flags and before the environment. */
function targetWith(flags: TargetFlags, { target }: MigrationBody): Promise<Endpoint> {
  const isNamed = (flags.host ?? flags.serverName ?? flags.service) !== undefined;
  return withBodyPassword("PGPASSWORD", target.password, () =>
    resolveTarget({
      ...flags,
      ...(isNamed || target.host === undefined ? {} : { host: target.host }),
      ...(flags.user === undefined && target.user !== undefined ? { user: target.user } : {}),
    }),
  );
}

/** The password of the properties file is used if the environment has none. */
async function withBodyPassword<T>(variable: string, password: string | undefined, run: () => Promise<T>): Promise<T> {
  if (password !== undefined) process.env[variable] ??= password;
  return run();
}
