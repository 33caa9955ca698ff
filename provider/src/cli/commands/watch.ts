import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { hasEnded, type MigrationStatus } from "../../status.js";
import { readStatus } from "../../store/read-status.js";
import { readSamples } from "../../store/samples.js";
import { readTables } from "../../store/read-tables.js";
import { exitCodeOfStatus } from "../exit-code.js";
import { followStatus } from "../migration/follow-status.js";
import { addMigrationOptions, type MigrationFlags } from "../options/migration-options.js";
import { withMigration, type FoundMigration } from "../migration/open-store.js";
import { sampleOf } from "../../units/rates.js";
import { escapeLine } from "../../units/terminal-text.js";
import { problemLines } from "../output/problem-lines.js";
import { writeOutput } from "../output/terminal.js";
import { colorize } from "../output/colorize.js";
import { watchScreen } from "../output/watch-screen.js";

export function addWatch(program: Command): void {
  addMigrationOptions(program.command("watch").description("show the progress of a migration until it has ended"))
    .addHelpText("after", "\nExample:\n  pg-migration watch --service prod --name crm")
    .action((flags: MigrationFlags) => withMigration(flags, watch));
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

/** Redraws its lines in place. */
class Screen {
  #drawn = 0;

  draw(lines: readonly string[]): void {
    // 0 on a terminal of unknown size.
    const columns = process.stdout.columns || 80;
    const rows = process.stdout.rows || 24;
    const shown = lines.slice(0, rows - 1).map((line) => escapeLine(line).slice(0, columns - 1));
    const back = this.#drawn > 0 ? `\x1b[${this.#drawn}A\x1b[J` : "";
    const painted = process.stdout.hasColors() ? shown.map(colorize) : shown;
    process.stdout.write(`${back}${painted.join("\n")}\n`);
    this.#drawn = shown.length;
  }
}
