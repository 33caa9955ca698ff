import type { Command } from "commander";
import { InvalidInput } from "../../errors.js";
import * as lifecycle from "../../lifecycle.js";
import { hasEnded } from "../../status.js";
import { askCancel, askCutover } from "../../store/user-requests.js";
import { readStatus } from "../../store/read-status.js";
import { updateWish } from "../../store/records.js";
import { exitCodeOfStatus } from "../exit-code.js";
import { addMigrationOptions, type MigrationFlags } from "../options/migration-options.js";
import { withMigration, type FoundMigration } from "../migration/open-store.js";
import { addOutputOption, type OutputFlags } from "../output.js";
import { recordedInputs } from "../recorded-inputs.js";
import { reportLines } from "../output/progress-lines.js";
import { addSourceOptions, type SourceFlags } from "../options/server-options.js";
import { begin } from "../migration/start-in-background.js";
import { follow } from "../follow.js";
import { show } from "./show.js";

interface Flags extends MigrationFlags, SourceFlags, OutputFlags {
  readonly cutover?: boolean;
  readonly cancel?: boolean;
  readonly setupReplication?: boolean;
  readonly wait?: boolean;
}

const examples = `
Examples:
  pg-migration update --service prod --name crm --cutover --wait
  pg-migration update --service prod --name crm --cancel

A migration whose worker is lost gets a new one, for which the source's password is needed.`;

export function addUpdate(program: Command): void {
  const command = program
    .command("update")
    .description("cut a migration over, cancel it, or have it go on (exactly one)")
    .option("--cutover", "apply what the source has committed until now, compare, and finish")
    .option("--cancel", "give it up; what was copied stays on the target")
    .option("--setup-replication", "have it set up what following the source needs")
    .option("--wait", "follow it to its end");
  addSourceOptions(addMigrationOptions(command));
  addOutputOption(command.optionsGroup("Options:"), "json")
    .addHelpText("after", examples)
    .action((flags: Flags) => withMigration(flags, (found) => update(found, flags)));
}

/** What a migration that waits for its source's preparation waits for. */
const setUp = { setupLogicalReplicationOnSourceDbIfNeeded: true };

async function update(found: FoundMigration, flags: Flags): Promise<void> {
  const wanted = [flags.cutover, flags.cancel, flags.setupReplication].filter(Boolean);
  if (wanted.length !== 1)
    throw new InvalidInput([
      { property: "update", reason: "give exactly one of --cutover, --cancel, --setup-replication" },
    ]);
  const { store, migration } = found;
  if (flags.cutover) await askCutover(store, migration.name);
  if (flags.cancel) await askCancel(store, migration.name);
  if (flags.setupReplication) await updateWish(store, { ...migration.wish, ...setUp });
  const status = await readStatus(store, migration.name);
  const needsWorker = status?.worker.state !== "running";
  if (needsWorker) await startWorker(found, flags);
  const ended = flags.wait ? await follow(store, migration.name, reportLines()) : undefined;
  if (ended && !(flags.cancel && ended.state === "Canceled")) process.exitCode = exitCodeOfStatus(ended);
  await show(found, flags.output);
  if (needsWorker) process.exit();
}

/** Has a worker take the migration up; a worker that runs sees the request by itself. */
async function startWorker({ target, migration, store }: FoundMigration, flags: Flags): Promise<void> {
  const inputs = await recordedInputs(migration, target, flags);
  const currentStatus = await readStatus(store, migration.name);
  const wanted = {
    ...inputs,
    ...(flags.setupReplication ? setUp : {}),
    triggerCutover: !flags.cancel && (flags.cutover ?? inputs.triggerCutover),
    cancel: flags.cancel ?? false,
    dbsToTriggerCutoverOn: [],
    dbsToCancelMigrationOn: [],
  };
  await begin(inputs, migration.name, async (report) => {
    try {
      await lifecycle.update("", { ...inputs, currentStatus }, wanted, report);
    } catch (error) {
      // That it ends without success is what a cancel asks for; any other end is told by the status.
      if (!(error instanceof lifecycle.MigrationIncomplete)) throw error;
      const { state } = (error.properties as unknown as lifecycle.Outputs).currentStatus;
      if (!hasEnded(state)) throw error;
    }
  });
}
