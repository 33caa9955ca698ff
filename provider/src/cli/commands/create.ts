import { randomUUID } from "node:crypto";
import { Option, type Command } from "commander";
import { checkInputs } from "../../inputs/check-inputs.js";
import { InvalidInputError } from "../../errors.js";
import type { Inputs } from "../../inputs/inputs.js";
import * as lifecycle from "../../resource/lifecycle.js";
import { startInBackground } from "../migration/start-in-background.js";
import { addMigrationOptions } from "../options/migration-options.js";
import { withMigrationAt } from "../migration/open-store.js";
import { addOutputOption } from "../output/print.js";
import { openProgressLines } from "../output/progress-lines.js";
import { addInputOptions, resolveInputs, type InputFlags } from "../options/migration-inputs.js";
import { show, type ShowFlags } from "./show.js";

interface Flags extends InputFlags, ShowFlags {
  readonly wait?: boolean;
}

const examples = `
Examples:
  pg-migration create --service prod --name crm --properties body.json \\
    --migration-mode online
  PG_MIGRATION_SOURCE_PASSWORD=... pg-migration create --service prod --name crm \\
    --source-host db1 --source-user app --databases crm --wait

Returns when the migration has started. With --wait, returns when an offline
migration has ended or an online one waits for its cutover. The worker keeps
running when the command is interrupted. Without --name, the name is the one in
the body, otherwise a random one.`;

export function addCreate(program: Command): void {
  const command = program
    .command("create")
    .description("start a migration, or resume a failed one")
    .option("--wait", "wait for the result")
    .option("--no-wait", "return when it has started, which is the default")
    .addOption(new Option("-l, --location <region>", "accepted as in az, and only shown").hideHelp());
  addInputOptions(addMigrationOptions(command));
  addOutputOption(command.optionsGroup("Options:"), "json").addHelpText("after", examples).action(create);
}

async function create(flags: Flags): Promise<void> {
  const inputs = await resolveInputs(flags, randomUUID());
  const { failures } = checkInputs({ ...inputs });
  if (failures.length > 0) throw new InvalidInputError(failures);
  const showMigration = (): Promise<void> =>
    withMigrationAt(inputs, inputs.migrationName, (found) => show(found, flags));
  try {
    if (flags.wait) await createAndWait(inputs);
    else await startInBackground(inputs, inputs.migrationName, (report) => lifecycle.create({ ...inputs }, report));
  } catch (error) {
    if (error instanceof lifecycle.MigrationIncompleteError) await showMigration();
    throw error;
  }
  await showMigration();
  // Ends the supervision in this process; the worker keeps running.
  if (!flags.wait) process.exit();
}

async function createAndWait(inputs: Inputs): Promise<void> {
  const lines = openProgressLines();
  try {
    await lifecycle.create({ ...inputs }, lines.report);
  } finally {
    lines.close();
  }
}
