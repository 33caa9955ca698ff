import { Option, type Command } from "commander";
import { formatTable } from "../../display/format-table.js";
import { sourceTypes, type SourceType } from "../../inputs/inputs.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { detectPlatform } from "../../platforms/detect-platform.js";
import { platformOfHost } from "../../platforms/platforms.js";
import { withAccessCommands } from "../../platforms/let-in.js";
import { exitCodes } from "../exit-code.js";
import { checkSource, type Check } from "../migration/source-readiness.js";
import { addOutputOption, print, type OutputFlags } from "../output/print.js";
import { choice } from "../options/choice.js";
import { addDatabasesOption, selectedDatabases } from "../options/migration-inputs.js";
import { addSourceOptions, resolveSource, type SourceFlags } from "../options/server-options.js";
import { wholeNumber } from "../options/whole-number.js";

interface Flags extends SourceFlags, OutputFlags {
  readonly sourceType?: SourceType;
  readonly sourceDatabase?: string;
  readonly databaseCount: number;
  readonly databases?: readonly string[];
}

const examples = `
Example:
  pg-migration doctor --source-service old --source-type AWS_RDS --database-count 3

Changes nothing. Exits with 6 when something is missing.`;

export function addDoctor(program: Command): void {
  const command = program
    .command("doctor")
    .description("check whether a source is ready for an online migration")
    .addOption(choice("--source-type <type>", "platform, if the server does not show it", sourceTypes))
    .option("--source-database <name>", "database to connect to (default: the first database, or postgres)")
    .addOption(
      new Option("--database-count <number>", "number of databases to migrate")
        .argParser(wholeNumber)
        .default(1)
        .conflicts("databases"),
    );
  addSourceOptions(addDatabasesOption(command));
  addOutputOption(command.optionsGroup("Options:"), "table").addHelpText("after", examples).action(doctor);
}

async function doctor(flags: Flags): Promise<void> {
  const source = await resolveSource(flags, flags);
  const checks = await checkServer(source, flags).catch((error: unknown) => {
    throw withAccessCommands(error, source, platformOfHost(source, flags.sourceType));
  });
  await print(flags, checks, () => checksTable(checks));
  if (checks.some(({ ok }) => !ok)) process.exitCode = exitCodes.validationFailed;
}

async function checkServer(source: Endpoint, flags: Flags): Promise<Check[]> {
  const databases = await selectedDatabases(source, flags.databases ?? []);
  const { sourceDatabase = databases[0] ?? "postgres", sourceType } = flags;
  return withSession(source, { database: sourceDatabase, purpose: "doctor" }, async (client) =>
    checkSource(client, await detectPlatform(client, sourceType), databases.length || flags.databaseCount),
  );
}

function checksTable(checks: readonly Check[]): string {
  const table = formatTable(
    ["Check", "Current", "Required", "OK"],
    checks.map((one) => [one.check, one.current, one.required, one.ok ? "yes" : "NO"]),
  );
  const remedies = [...new Set(checks.flatMap(({ remedy }) => (remedy === undefined ? [] : [`  ${remedy}`])))];
  if (remedies.length === 0) return `${table}\n\nThe source is ready.`;
  return [table, "", "To do:", ...remedies].join("\n");
}
