import { InvalidArgumentError, Option, type Command } from "commander";
import { InvalidInputError, NotFoundError, messageOf } from "../../errors.js";
import { readReport } from "../../report/read-report.js";
import { reportFormat, reportText, writeReport } from "../../report/write-report.js";
import { addMigrationOptions, type MigrationFlags } from "../options/migration-options.js";
import { withMigration, type FoundMigration } from "../migration/open-store.js";
import { writeMessage, writeOutput } from "../output/terminal.js";

interface Flags extends MigrationFlags {
  readonly output: string;
}

const examples = `
Examples:
  pg-migration report --service prod --name crm --output crm.html
  pg-migration report --service prod --name crm -o json`;

export function addReport(program: Command): void {
  const command = program
    .command("report")
    .description("print or write a report of a whole migration, for auditors")
    .addOption(
      new Option("-o, --output <output>", "html, json, or a file that ends in .html or .json")
        .default("json")
        .argParser(outputOf),
    );
  addMigrationOptions(command)
    .addHelpText("after", examples)
    .action((flags: Flags) => withMigration(flags, (found) => report(found, flags)));
}

function outputOf(text: string): string {
  if (isFormat(text.toLowerCase())) return text.toLowerCase();
  if (reportFormat(text)) return text;
  throw new InvalidArgumentError("Allowed are html, json, and a file that ends in .html or .json.");
}

const isFormat = (text: string): text is "html" | "json" => text === "html" || text === "json";

async function report({ store, migration: { name } }: FoundMigration, { output }: Flags): Promise<void> {
  const found = await readReport(store, name);
  if (!found) throw new NotFoundError(`the record of ${name} was removed meanwhile`);
  if (isFormat(output)) {
    writeOutput(reportText(found, output).trimEnd());
    return;
  }
  const files = await writeReport(found, output).catch((error: unknown) => {
    throw new InvalidInputError([
      { property: "--output", reason: `the report cannot be written: ${messageOf(error)}` },
    ]);
  });
  for (const file of files) writeMessage(`written: ${file}`);
}
