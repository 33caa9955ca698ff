import type { Command } from "commander";
import { checkInputs } from "../../inputs/check-inputs.js";
import { InvalidInput } from "../../errors.js";
import type { Inputs } from "../../inputs/inputs.js";
import * as lifecycle from "../../lifecycle.js";
import { begin } from "../migration/start-in-background.js";
import { addMigrationOptions } from "../options/migration-options.js";
import { withMigration } from "../migration/open-store.js";
import { addOutputOption, type OutputFlags } from "../output.js";
import { reportLines } from "../output/progress-lines.js";
import { addWantedOptions, wantedInputs, type WantedFlags } from "../options/migration-inputs.js";
import { show } from "./show.js";

interface Flags extends WantedFlags, OutputFlags {
  readonly wait?: boolean;
}

const examples = `
Examples:
  pg-migration create --service prod --name crm --properties body.json --migration-mode online
  PG_MIGRATION_SOURCE_PASSWORD=... pg-migration create --service prod --name crm --source-host db1 \\
    --source-user app --databases crm --wait

It answers when the migration has begun. With --wait it follows an offline migration to its end, an online one until it
waits for its cutover; the worker goes on when the command is interrupted.`;

export function addCreate(program: Command): void {
  const command = program
    .command("create")
    .description("begin a migration, or go on with one that has failed")
    .option("--wait", "follow it");
  addWantedOptions(addMigrationOptions(command));
  addOutputOption(command.optionsGroup("Options:"), "json").addHelpText("after", examples).action(create);
}

async function create(flags: Flags): Promise<void> {
  const inputs = await wantedInputs(flags);
  const { failures } = checkInputs({ ...inputs });
  if (failures.length > 0) throw new InvalidInput(failures);
  if (flags.wait) await follow(inputs);
  else await begin(inputs, inputs.migrationName, (report) => lifecycle.create({ ...inputs }, report));
  await withMigration({ ...flags, ...endpointFlags(inputs) }, (found) => show(found, flags.output));
  // What follows the worker here ends; the worker goes on.
  if (!flags.wait) process.exit();
}

async function follow(inputs: Inputs): Promise<void> {
  const lines = reportLines();
  try {
    await lifecycle.create({ ...inputs }, lines.report);
  } finally {
    lines.close();
  }
}

/** The target as it was found out once: a body may have named it. */
const endpointFlags = ({ target, migrationName }: Inputs): Partial<Flags> => ({
  migrationName,
  serverName: target.host,
  host: target.host,
  port: String(target.port),
  user: target.user,
  sslmode: target.sslMode,
});
