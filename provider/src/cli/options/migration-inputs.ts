import { Option, type Command } from "commander";
import { parseInputs } from "../../inputs/check-inputs.js";
import { InvalidInput } from "../../errors.js";
import type { Inputs } from "../../inputs/inputs.js";
import type { Endpoint } from "../../postgres/connection/connect.js";
import { readBody, type Body } from "./properties-file.js";
import { readMigrationFlags, type MigrationFlags } from "./migration-options.js";
import { webhookInput } from "./webhook-environment.js";
import { addSourceOptions, sourceOf, targetOf, type SourceFlags, type TargetFlags } from "./server-options.js";

/** What flags say about a migration that is not recorded yet. */
export interface WantedFlags extends MigrationFlags, SourceFlags {
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
    .option("-b, --properties <file>", "Azure's JSON body of a migration, keys in any case")
    .option("-d, --databases <name...>", "the source's databases to migrate");
  return addSourceOptions(command);
}

export function addModeOptions(command: Command): Command {
  return command
    .optionsGroup("The migration:")
    .addOption(choice("--migration-mode <mode>", "how the data comes over", ["Offline", "Online"]));
}

export function addWantedOptions(command: Command): Command {
  addModeOptions(command)
    .addOption(choice("--migration-option <option>", "how far it goes", ["Validate", "Migrate", "ValidateAndMigrate"]))
    .option("--overwrite", "replace databases that exist on the target")
    .option("--tags <key=value...>", "recorded with the migration");
  return addBodyOptions(command);
}

/** Azure's command takes such values in any case. */
function choice(flags: string, description: string, values: readonly string[]): Option {
  return new Option(flags, `${description}: ${values.join(", ")}`).argParser(
    (text) => values.find((value) => value.toLowerCase() === text.toLowerCase()) ?? text,
  );
}

const emptyBody: Body = { source: {}, target: {}, inputs: {} };

const bodyOf = (flags: WantedFlags): Body => (flags.properties === undefined ? emptyBody : readBody(flags.properties));

/** The inputs that flags, body and environment make together; flags come first. */
export async function wantedInputs(flags: WantedFlags, standardName?: string): Promise<Inputs> {
  const body = bodyOf(flags);
  const named = flags.name ?? flags.migrationName ?? standardName;
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

/** As az reads them: `key=value`, `key` for an empty value, and one empty text for none at all. */
const tagsOf = (texts: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    texts
      .filter((text) => text !== "")
      .map((text) => {
        const [key = "", ...value] = text.split("=");
        return [key, value.join("=")];
      }),
  );

/** The source and what is to be taken from it, for commands that look at nothing else. */
export async function wantedSource(flags: WantedFlags): Promise<{ source: Endpoint; databases: readonly string[] }> {
  const body = bodyOf(flags);
  const databases = flags.databases ?? (body.inputs.dbsToMigrate as readonly string[] | undefined);
  if (databases === undefined || databases.length === 0)
    throw new InvalidInput([{ property: "--databases", reason: "name the databases, or give a body that does" }]);
  return { source: await sourceWith(flags, body), databases };
}

/** The target, where flags, body or environment name one: a look at a source does not need it. */
export async function wantedTarget(flags: WantedFlags): Promise<Endpoint | undefined> {
  const body = bodyOf(flags);
  const { PGHOST, PGSERVICE } = process.env;
  const names = [flags.serverName, flags.service, flags.host, body.target.host, PGSERVICE, PGHOST];
  return names.some((name) => name !== undefined && name !== "") ? targetWith(flags, body) : undefined;
}

async function sourceWith(flags: SourceFlags, { source }: Body): Promise<Endpoint> {
  const { password, ...known } = source;
  return withBodyPassword("PG_MIGRATION_SOURCE_PASSWORD", password, () => sourceOf(flags, known));
}

/** A server that the body names stands behind flags, and before the environment. */
function targetWith(flags: TargetFlags, { target }: Body): Promise<Endpoint> {
  const isNamed = (flags.host ?? flags.serverName ?? flags.service) !== undefined;
  return withBodyPassword("PGPASSWORD", target.password, () =>
    targetOf({
      ...flags,
      ...(isNamed || target.host === undefined ? {} : { host: target.host }),
      ...(flags.user === undefined && target.user !== undefined ? { user: target.user } : {}),
    }),
  );
}

/** A body's password stands where the environment has none. */
async function withBodyPassword<T>(variable: string, password: string | undefined, run: () => Promise<T>): Promise<T> {
  if (password !== undefined) process.env[variable] ??= password;
  return run();
}
