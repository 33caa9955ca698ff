import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { hasEnded, type MigrationStatus } from "../../status.js";
import { readStatus } from "../../store/read-status.js";
import { readSamples } from "../../store/samples.js";
import { readTables } from "../../store/read-tables.js";
import { exitCodeOfStatus } from "../exit-code.js";
import { follow } from "../follow.js";
import { addMigrationOptions, type MigrationFlags } from "../options/migration-options.js";
import { withMigration, type FoundMigration } from "../migration/open-store.js";
import { sampleOf } from "../../units/rates.js";
import { paint } from "../output/colorize.js";
import { watchScreen } from "../output/watch-screen.js";

export function addWatch(program: Command): void {
  addMigrationOptions(
    program.command("watch").description("show a migration live until it has ended: bars on a terminal, else lines"),
  )
    .addHelpText("after", "\nExample:\n  pg-migration watch --service prod --name crm")
    .action((flags: MigrationFlags) => withMigration(flags, watch));
}

async function watch(found: FoundMigration): Promise<void> {
  const { stdout } = process;
  const status = stdout.isTTY ? await watchOnTerminal(found) : await watchInLines(found);
  if (status) process.exitCode = exitCodeOfStatus(status);
}

function watchInLines({ store, migration }: FoundMigration): Promise<MigrationStatus> {
  let last = "";
  const report = (line: string): void => {
    if (line !== last) process.stdout.write(`${new Date().toISOString()} ${line}\n`);
    last = line;
  };
  return follow(store, migration.name, { report, close: () => undefined });
}

const redrawMs = 500;
/** The records hold fewer; an hour of looking comes to it. */
const mostSamples = 10_000;

async function watchOnTerminal({ store, migration }: FoundMigration): Promise<MigrationStatus | undefined> {
  // How it went before anybody watched.
  const samples = await readSamples(store, migration.name);
  const screen = new Screen();
  for (;;) {
    const status = await readStatus(store, migration.name);
    if (!status) return undefined;
    samples.push(sampleOf(status, Date.now()));
    if (samples.length > mostSamples) samples.shift();
    const tables = await readTables(store, migration.name);
    screen.draw(watchScreen({ name: migration.name, wish: migration.wish, status, tables, samples }));
    if (hasEnded(status.state)) return status;
    await sleep(redrawMs);
  }
}

/** Lines that take the place of those drawn before. */
class Screen {
  #drawn = 0;

  draw(lines: readonly string[]): void {
    // A terminal that does not tell its size says 0.
    const columns = process.stdout.columns || 80;
    const rows = process.stdout.rows || 24;
    const shown = lines.slice(0, rows - 1).map((line) => line.slice(0, columns - 1));
    const back = this.#drawn > 0 ? `\x1b[${this.#drawn}A\x1b[J` : "";
    const painted = process.stdout.hasColors() ? shown.map(paint) : shown;
    process.stdout.write(`${back}${painted.join("\n")}\n`);
    this.#drawn = shown.length;
  }
}
