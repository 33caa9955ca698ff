import { Option, type Command } from "commander";
import { RefusedError } from "../../errors.js";
import * as lifecycle from "../../resource/lifecycle.js";
import { hasEnded } from "../../status.js";
import { requestCancel, requestCutover } from "../../store/user-requests.js";
import { readStatus } from "../../store/read-status.js";
import { updateSpec } from "../../store/records.js";
import { exitCodeOfStatus } from "../exit-code.js";
import { addMigrationOptions, type MigrationFlags } from "../options/migration-options.js";
import { withMigration, type FoundMigration } from "../migration/open-store.js";
import { addOutputOption } from "../output/print.js";
import { recordedInputs } from "../migration/recorded-inputs.js";
import { openProgressLines } from "../output/progress-lines.js";
import { addSourceOptions, type SourceFlags } from "../options/server-options.js";
import { startInBackground } from "../migration/start-in-background.js";
import { followStatus } from "../migration/follow-status.js";
import { show, type ShowFlags } from "./show.js";

interface Flags extends MigrationFlags, SourceFlags, ShowFlags {
  readonly cutover?: boolean;
  readonly cancel?: boolean;
  readonly setupReplication?: boolean;
  readonly wait?: boolean;
}

const examples = `
Examples:
  pg-migration update --service prod --name crm --cutover --wait
  pg-migration update --service prod --name crm --cancel
  pg-migration update --service prod --name crm

Without --cutover, --cancel or --setup-replication, starts a worker if the
migration has lost its own, and resumes a failed migration. A new worker needs
the password of the source.`;

export function addUpdate(program: Command): void {
  const command = program
    .command("update")
    .description("resume, cut over or cancel a migration")
    .addOption(
      new Option("--cutover", "apply all committed changes, compare, and finish").conflicts([
        "cancel",
        "setupReplication",
      ]),
    )
    .addOption(new Option("--cancel", "cancel; copied data stays on the target").conflicts("setupReplication"))
    .option("--setup-replication", "configure the source for logical replication")
    .option("--wait", "wait until the migration has ended")
    .option("--no-wait", "return at once, which is the default");
  addSourceOptions(addMigrationOptions(command));
  addOutputOption(command.optionsGroup("Options:"), "json")
    .addHelpText("after", examples)
    .action((flags: Flags) => withMigration(flags, (found) => update(found, flags)));
}

const setupReplication = { setupLogicalReplicationOnSourceDbIfNeeded: true };

async function update(found: FoundMigration, flags: Flags): Promise<void> {
  const { store, migration } = found;
  await request(found, flags);
  const status = await readStatus(store, migration.name);
  const needsWorker = status?.worker.state !== "running";
  if (needsWorker) await startWorker(found, flags);
  const requested = {
    ...{ triggerCutover: flags.cutover ?? false, dbsToTriggerCutoverOn: [], waitFor: undefined },
    ...{ cancel: flags.cancel ?? false, dbsToCancelMigrationOn: [], rollback: migration.spec.rollback },
  };
  const ended = flags.wait ? await followStatus(store, migration.name, openProgressLines(), requested) : undefined;
  if (ended && !(flags.cancel && ended.state === "Canceled")) process.exitCode = exitCodeOfStatus(ended);
  await show(found, flags);
  if (needsWorker) process.exit();
}

/** Records what the user requests. @throws RefusedError if the migration's mode or state rules it out */
async function request({ store, migration }: FoundMigration, flags: Flags): Promise<void> {
  const { name, spec, state } = migration;
  if (flags.cutover) return requestCutover(store, name);
  if (flags.cancel) return requestCancel(store, name);
  if (flags.setupReplication && spec.migrationMode === "Offline")
    throw new RefusedError(`${name} is an offline migration, which does not use replication`, {
      remedy: "leave out --setup-replication, or create an online migration",
    });
  if (state === "Succeeded" || state === "Canceled")
    throw new RefusedError(`the migration ${name} has ended: ${state}`, {
      remedy: "look at it with pg-migration show, or start it again with pg-migration create",
    });
  if (flags.setupReplication) await updateSpec(store, { ...spec, ...setupReplication });
}

/** Starts a worker, which finds the request in the records. A running worker finds it by itself. */
async function startWorker({ target, migration, store }: FoundMigration, flags: Flags): Promise<void> {
  const inputs = await recordedInputs(migration, target, flags);
  const currentStatus = await readStatus(store, migration.name);
  const wanted = {
    ...inputs,
    ...(flags.setupReplication ? setupReplication : {}),
    triggerCutover: !flags.cancel && (flags.cutover ?? inputs.triggerCutover),
    cancel: flags.cancel ?? false,
    dbsToTriggerCutoverOn: [],
    dbsToCancelMigrationOn: [],
  };
  await startInBackground(inputs, migration.name, async (report) => {
    try {
      await lifecycle.update({ ...inputs, currentStatus }, wanted, report);
    } catch (error) {
      // A canceled migration ends without success; any other end is shown by the status.
      if (!(error instanceof lifecycle.MigrationIncompleteError)) throw error;
      const { state } = (error.properties as unknown as lifecycle.Outputs).currentStatus;
      if (!hasEnded(state)) throw error;
    }
  });
}
