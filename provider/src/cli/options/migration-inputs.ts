import type { Command } from "commander";
import { parseInputs } from "../../inputs/check-inputs.js";
import { contradictionsOf, isPattern } from "../../inputs/database-patterns.js";
import { InvalidInputError } from "../../errors.js";
import { inputsSchema, type Inputs } from "../../inputs/inputs.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import type { Database } from "../../postgres/databases.js";
import { matchingDatabases } from "../../resource/databases/matching-databases.js";
import { resolveDatabases } from "../../resource/databases/resolve-databases.js";
import { readMigrationBody, type BodyFlags, type MigrationBody } from "./properties-file.js";
import { inCommandTerms } from "../output/command-terms.js";
import { writeMessage } from "../output/terminal.js";
import { choice } from "./choice.js";
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
export interface InputFlags extends MigrationFlags, SourceFlags, BodyFlags {
  readonly databases?: readonly string[];
  readonly migrationMode?: string;
  readonly migrationOption?: string;
  readonly overwrite?: boolean;
  readonly sourceType?: string;
  readonly tags?: readonly string[];
}

export function addBodyOptions(command: Command): Command {
  command
    .optionsGroup("The migration:")
    .option("-b, --properties <file>", "migration in Azure's JSON: body or template")
    .option("--parameters <file>", "parameters of that template");
  addDatabasesOption(command);
  return addSourceOptions(command);
}

export const addDatabasesOption = (command: Command): Command =>
  command.option("-d, --databases <name...>", "databases to migrate; patterns: 'app_*' '!app_test'");

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
    .option("--tags <key=value...>", "tags to record with the migration")
    .option("--source-type <type>", "platform, if the server does not show it");
  return addBodyOptions(command);
}

/** Inputs from flags, the properties file and the environment, in this order of precedence. */
export async function resolveInputs(flags: InputFlags, defaultName?: string): Promise<Inputs> {
  const body = readMigrationBody(flags);
  const { name, target } = readMigrationFlags(withName(flags, nameIn(body) ?? defaultName));
  const given = {
    ...webhookInput(),
    ...body.inputs,
    migrationName: name,
    source: await sourceWith(flags, body),
    target: await targetWith(target, body),
    ...(flags.maintenanceDatabase ? { maintenanceDatabase: flags.maintenanceDatabase } : {}),
    ...(flags.databases ? { dbsToMigrate: flags.databases } : {}),
    ...(flags.migrationMode ? { migrationMode: flags.migrationMode } : {}),
    ...(flags.migrationOption ? { migrationOption: flags.migrationOption } : {}),
    ...(flags.overwrite ? { overwriteDbsInTarget: true } : {}),
    ...(flags.sourceType ? { sourceType: flags.sourceType } : {}),
    ...(flags.tags ? { tags: tagsOf(flags.tags) } : {}),
  };
  return parseInputs(await resolveDatabases({}, given, printSelection));
}

/** With `--migration-name`, `--name` is the server: the name of the body must not take its place. */
const withName = (flags: InputFlags, name: string | undefined): InputFlags =>
  name === undefined || (flags.name ?? flags.migrationName) !== undefined ? flags : { ...flags, name };

const nameIn = ({ inputs: { migrationName } }: MigrationBody): string | undefined =>
  typeof migrationName === "string" ? migrationName : undefined;

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
  const body = readMigrationBody(flags);
  const databases = flags.databases ?? (body.inputs.dbsToMigrate as readonly string[] | undefined);
  if (databases === undefined || databases.length === 0)
    throw new InvalidInputError([
      { property: "--databases", reason: "missing; pass --databases, or --properties with dbsToMigrate" },
    ]);
  const source = await sourceWith(flags, body);
  return { source, databases: await selectedDatabases(source, databases) };
}

const printSelection = (line: string): void => writeMessage(inCommandTerms(line));

/**
 * The databases of `--databases`, which may have patterns.
 *
 * @param known the source's databases, if they were read already
 */
export async function selectedDatabases(
  source: Endpoint,
  list: readonly string[],
  known?: readonly Database[],
): Promise<readonly string[]> {
  const { error } = inputsSchema.shape.dbsToMigrate.safeParse(list);
  const reasons = error ? error.issues.map(({ message }) => message) : contradictionsOf(list);
  if (reasons.length > 0) throw new InvalidInputError(reasons.map((reason) => ({ property: "dbsToMigrate", reason })));
  return list.some(isPattern) ? matchingDatabases(source, list, printSelection, known) : list;
}

/** The target, if flags, the properties file or the environment name one. */
export async function resolveOptionalTarget(flags: InputFlags): Promise<Endpoint | undefined> {
  const body = readMigrationBody(flags);
  const { PGHOST, PGSERVICE } = process.env;
  const names = [flags.serverName, flags.service, flags.host, body.target.host, PGSERVICE, PGHOST];
  return names.some((name) => name !== undefined && name !== "") ? targetWith(flags, body) : undefined;
}

async function sourceWith(flags: InputFlags, { source, inputs }: MigrationBody): Promise<Endpoint> {
  const { password, ...known } = source;
  const sourceType = inputsSchema.shape.sourceType.safeParse(flags.sourceType ?? inputs.sourceType).data;
  return withBodyPassword("PG_MIGRATION_SOURCE_PASSWORD", password, () =>
    resolveSource(flags, { ...known, sourceType }),
  );
}

/** The properties file comes after flags and before the environment; its mode for both servers comes last. */
function targetWith(flags: TargetFlags, { target, sslMode: defaultSslMode }: MigrationBody): Promise<Endpoint> {
  const isNamed = (flags.host ?? flags.serverName ?? flags.service) !== undefined;
  const { host, port, user, sslMode, sslRootCert, password, auth } = target;
  const server = isNamed ? {} : { ...(host && { host }), ...(port && { port: String(port) }) };
  const tls = { ...(sslMode && { sslmode: sslMode }), ...(sslRootCert && { sslrootcert: sslRootCert }) };
  return withBodyPassword("PGPASSWORD", password, () =>
    resolveTarget({ ...server, ...(user && { user }), ...tls, ...flags }, { auth, defaultSslMode }),
  );
}

/** The password of the properties file is used if the environment has none. */
async function withBodyPassword<T>(variable: string, password: string | undefined, run: () => Promise<T>): Promise<T> {
  if (password !== undefined) process.env[variable] ??= password;
  return run();
}
