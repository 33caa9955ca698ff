import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { hasEnded, type MigrationStatus } from "../../status.js";
import { readStatus } from "../../store/read-status.js";
import { readSamples } from "../../store/samples.js";
import { readTables } from "../../store/read-tables.js";
import { exitCodeOfStatus } from "../exit-code.js";
import { followStatus } from "../migration/follow-status.js";
import { addMigrationOptions, type MigrationFlags } from "../options/migration-options.js";
import { addTargetsOption, addWebhookOption } from "../options/targets-option.js";
import { fleetWebhook, type WebhookFlags } from "../options/webhook-environment.js";
import { watchFleet } from "../targets/watch-fleet.js";
import { withMigration, type FoundMigration } from "../migration/open-store.js";
import { sampleOf } from "../../units/rates.js";
import { problemLines } from "../output/problem-lines.js";
import { writeOutput } from "../output/terminal.js";
import { Screen } from "../output/screen.js";
import { watchScreen } from "../output/watch-screen.js";

export function addWatch(program: Command): void {
  const command = program
    .command("watch")
    .description("show the progress of a migration, or of those on many targets, until it has ended");
  addWebhookOption(addTargetsOption(addMigrationOptions(command)))
    .addHelpText("after", examples)
    .action(start);
}

const examples = `
Examples:
  pg-migration watch --service prod --name crm
  pg-migration watch --targets targets.csv`;

async function start(flags: MigrationFlags & WebhookFlags): Promise<void> {
  const webhook = fleetWebhook(flags);
  if (flags.targets === undefined) await withMigration(flags, watch);
  else await watchFleet(flags.targets, flags, webhook);
}

async function watch(found: FoundMigration): Promise<void> {
  const { stdout } = process;
  const status = stdout.isTTY ? await watchOnTerminal(found) : await watchInLines(found);
  if (!status) return;
  if (status.state === "ValidationFailed") writeOutput(`\n${problemLines(status).join("\n")}`);
  process.exitCode = exitCodeOfStatus(status);
}

function watchInLines({ store, migration }: FoundMigration): Promise<MigrationStatus> {
  let last = "";
  const report = (line: string): void => {
    if (line !== last) writeOutput(`${new Date().toISOString()} ${line}`);
    last = line;
  };
  return followStatus(store, migration.name, { report, close: () => undefined });
}

const redrawMs = 500;
/** More than an hour of watching. */
const maxSamples = 10_000;

async function watchOnTerminal({ store, migration }: FoundMigration): Promise<MigrationStatus | undefined> {
  // Includes the time before the command was started.
  const samples = await readSamples(store, migration.name);
  const screen = new Screen();
  for (;;) {
    const status = await readStatus(store, migration.name);
    if (!status) return undefined;
    if (status.worker.state === "running") samples.push(sampleOf(status, Date.now()));
    if (samples.length > maxSamples) samples.shift();
    const tables = await readTables(store, migration.name);
    screen.draw(watchScreen({ name: migration.name, spec: migration.spec, status, tables, samples }));
    if (hasEnded(status.state)) return status;
    await sleep(redrawMs);
  }
}
