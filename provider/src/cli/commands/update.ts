import type { Command } from "commander";
import type { Inputs, MigrationSpec } from "../../inputs/inputs.js";
import { changeMigration, requireOpen } from "../../resource/changes/change-migration.js";
import type { MigrationChange } from "../../resource/changes/migration-change.js";
import * as lifecycle from "../../resource/lifecycle.js";
import { answeredRequest, hasEnded, type MigrationStatus } from "../../status.js";
import { findMigration } from "../../store/list-migrations.js";
import { readStatus } from "../../store/read-status.js";
import { goalFromInputs } from "../../supervisor/wait-target.js";
import { nextCommand } from "../../display/user-actions.js";
import { exitCodeOfStatus, exitCodes } from "../exit-code.js";
import { addChangeOptions, changeOf, type ChangeFlags } from "../options/change-options.js";
import { addMigrationOptions, type MigrationFlags } from "../options/migration-options.js";
import { withMigration, type FoundMigration } from "../migration/open-store.js";
import { addOutputOption } from "../output/print.js";
import { recordedInputs } from "../migration/recorded-inputs.js";
import { openProgressLines } from "../output/progress-lines.js";
import { writeMessage } from "../output/terminal.js";
import { addSourceOptions } from "../options/server-options.js";
import { startInBackground } from "../migration/start-in-background.js";
import { followStatus } from "../migration/follow-status.js";
import { show, type ShowFlags } from "./show.js";

interface Flags extends MigrationFlags, ChangeFlags, ShowFlags {
  readonly wait?: boolean;
}

const examples = `
Examples:
  pg-migration update --service prod --name crm --cutover --wait
  pg-migration update --service prod --name crm --cutover orders --rollback keep
  pg-migration update --service prod --name crm --cancel
  pg-migration update --service prod --name crm

Without options, starts a worker if the migration has lost its own, and resumes
a failed migration. A new worker needs the password of the source. --wait
returns when the update is complete, or when the migration waits for you.`;

export function addUpdate(program: Command): void {
  const command = program
    .command("update")
    .description("resume, change, cut over or cancel a migration")
    .option("--wait", "wait until the update is complete")
    .option("--no-wait", "return at once, which is the default");
  addChangeOptions(command);
  addSourceOptions(addMigrationOptions(command.optionsGroup("Options:")));
  addOutputOption(command.optionsGroup("Options:"), "json")
    .addHelpText("after", examples)
    .action((flags: Flags) => withMigration(flags, (found) => update(found, flags)));
}

async function update(found: FoundMigration, flags: Flags): Promise<void> {
  const { store, target } = found;
  const { name } = found.migration;
  const change = await changeOf(flags, found.migration.spec);
  const needsWorker = found.migration.workerState !== "running";
  const options = { resumes: needsWorker };
  const migration = await requireOpen(store, name, change, options);
  // Asks for the password before anything is recorded.
  const inputs = needsWorker ? await recordedInputs(migration, target, flags) : undefined;
  const isChanged = Object.keys(change).length > 0;
  // Read again: another user may have changed it while the password was asked for.
  const spec = isChanged
    ? await changeMigration(store, name, change, options)
    : (await requireOpen(store, name, change, options)).spec;
  if (inputs) await startWorker(found, { ...inputs, ...spec, source: inputs.source, target: inputs.target });
  if (flags.wait) {
    // Waits for the verification of this command, not for one that another user requested.
    const awaited = { ...spec, verifyNow: change.verifyNow };
    const status = await followStatus(store, name, openProgressLines(), awaited);
    process.exitCode = exitCodeAfter(status, awaited, change);
  }
  await show({ ...found, migration: (await findMigration(store, name)) ?? migration }, flags);
  // Without waiting, the status is still that before the change.
  if (flags.wait) await writeNextStep(found);
  if (needsWorker) process.exit();
}

/** The command's own result: a requested cancellation, return or difference is no failure of the migration. */
function exitCodeAfter(status: MigrationStatus, spec: MigrationSpec, { verifyNow }: MigrationChange): number {
  const isDifferent = Object.values(status.currentSubStateDetails.dbDetails).some(
    ({ verification }) => verification?.state === "different" && answeredRequest(verification) === verifyNow,
  );
  if (goalFromInputs(spec).isReached(status)) return isDifferent ? exitCodes.contentDiffers : exitCodes.done;
  return hasEnded(status.state) ? exitCodeOfStatus(status) : exitCodes.failed;
}

async function writeNextStep({ store, migration: { name } }: FoundMigration): Promise<void> {
  const status = await readStatus(store, name);
  const next = status && nextCommand(status.currentSubStateDetails, name);
  if (next !== undefined) writeMessage(`Next: ${next}`);
}

/** Starts a worker for the recorded inputs. A running worker finds them by itself. */
async function startWorker({ store }: FoundMigration, inputs: Inputs): Promise<void> {
  const currentStatus = await readStatus(store, inputs.migrationName);
  await startInBackground(inputs, inputs.migrationName, async (report) => {
    try {
      await lifecycle.update({ ...inputs, currentStatus }, { ...inputs }, report);
    } catch (error) {
      // A canceled migration ends without success; any other end is shown by the status.
      if (!(error instanceof lifecycle.MigrationIncompleteError)) throw error;
      const { state } = (error.properties as unknown as lifecycle.Outputs).currentStatus;
      if (!hasEnded(state)) throw error;
    }
  });
}
