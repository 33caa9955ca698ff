import { setTimeout as sleep } from "node:timers/promises";
import { Option, type Command } from "commander";
import { hasEnded } from "../../status.js";
import { escapeLine, indentFurtherLines } from "../../units/terminal-text.js";
import { findMigration } from "../../store/list-migrations.js";
import { readEvents, type EventRecord } from "../../store/read-events.js";
import { inCommandTerms } from "../output/command-terms.js";
import { addMigrationOptions, type MigrationFlags } from "../options/migration-options.js";
import { withMigration, type FoundMigration } from "../migration/open-store.js";
import { writeOutput } from "../output/terminal.js";
import { wholeNumber } from "../options/whole-number.js";

interface Flags extends MigrationFlags {
  readonly follow?: boolean;
  readonly tail?: number;
}

const pollMs = 500;

export function addLogs(program: Command): void {
  const command = program
    .command("logs")
    .description("print the log of a migration's workers")
    .option("-f, --follow", "print new lines until the migration has ended")
    .addOption(new Option("--tail <lines>", "print only the last lines").argParser(wholeNumber));
  addMigrationOptions(command)
    .addHelpText("after", "\nExample:\n  pg-migration logs --service prod --name crm --follow")
    .action((flags: Flags) => withMigration(flags, (found) => logs(found, flags)));
}

async function logs({ store, migration: { name } }: FoundMigration, flags: Flags): Promise<void> {
  let after = 0;
  const show = async (most?: number): Promise<void> => {
    const events = await readEvents(store, name, { after, ...(most === undefined ? {} : { most }) });
    for (const event of events) writeOutput(line(event));
    after = events.at(-1)?.id ?? after;
  };
  await show(flags.tail);
  while (flags.follow) {
    const migration = await findMigration(store, name);
    await show();
    if (!migration || hasEnded(migration.state)) return;
    await sleep(pollMs);
  }
}

const line = ({ at, level, database, message }: EventRecord): string =>
  [
    at,
    level.padEnd(7),
    ...(database === undefined ? [] : [`[${escapeLine(database)}]`]),
    indentFurtherLines(inCommandTerms(message)),
  ].join(" ");
