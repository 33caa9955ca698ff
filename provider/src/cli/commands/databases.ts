import type { Command } from "commander";
import { formatTable } from "../../display/format-table.js";
import { isMatchedByPatterns } from "../../inputs/database-patterns.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import type { Database } from "../../postgres/databases.js";
import { formatBytes } from "../../units/byte-size.js";
import { escapeLine } from "../../units/terminal-text.js";
import { type DatabaseContent, readDatabaseContent } from "../../validation/database-content.js";
import { wantedDatabases } from "../migration/wanted-databases.js";
import { addDatabasesOption, addModeOptions } from "../options/migration-inputs.js";
import { addSourceOptions, resolveSource, type SourceFlags } from "../options/server-options.js";
import { addOutputOption, print, type OutputFlags } from "../output/print.js";
import { formatFindings } from "../output/problem-lines.js";

interface Flags extends SourceFlags, OutputFlags {
  readonly databases?: readonly string[];
  readonly migrationMode?: MigrationSpec["migrationMode"];
}

type Listed = Omit<Database, "isClosed"> & { readonly matchedByPatterns: boolean } & DatabaseContent;

const examples = `
Examples:
  pg-migration databases --source-service old
  pg-migration databases --source-service old --databases 'app_*' '!app_test' \\
    --migration-mode online --query "[?unreadable == null && length(blockers) == \`0\`].name" -o tsv

Blockers are what the source's catalogue shows in a few queries; validate finds
more. Changes nothing.`;

export function addDatabases(program: Command): void {
  const command = program
    .command("databases")
    .description("list the source's databases with size, extensions and blockers");
  addSourceOptions(addDatabasesOption(addModeOptions(command)));
  addOutputOption(command.optionsGroup("Options:"), "table").addHelpText("after", examples).action(databases);
}

async function databases(flags: Flags): Promise<void> {
  const source = await resolveSource(flags);
  const { migrationMode = "Offline" } = flags;
  const listed: Listed[] = [];
  for (const database of await wantedDatabases(source, flags.databases)) {
    const { isClosed: _isClosed, ...shown } = database;
    const content = await readDatabaseContent(source, database.name, migrationMode);
    listed.push({ ...shown, matchedByPatterns: isMatchedByPatterns(database), ...content });
  }
  await print(flags, listed, () => databasesTable(listed));
}

function databasesTable(listed: readonly Listed[]): string {
  const table = formatTable(
    ["Database", "Size", "Owner", "Encoding", "Collation", "Pattern", "Tables", "Extensions", "Blockers"],
    listed.map((one) => [
      one.name,
      one.bytes === null ? "?" : formatBytes(one.bytes),
      one.owner,
      one.encoding,
      one.collation,
      one.matchedByPatterns ? "yes" : "no",
      one.tables === null ? "?" : String(one.tables),
      one.extensions.join(", "),
      [...new Set(one.blockers.map(({ code }) => code))].join(", "),
    ]),
  );
  const unreadable = listed
    .filter(({ blockers, unreadable }) => unreadable !== null && blockers.length === 0)
    .map(({ name, unreadable }) => escapeLine(`${name} cannot be read: ${unreadable}`));
  const blockers = listed.flatMap((one) => one.blockers);
  const findings = blockers.length > 0 ? ["", formatFindings(blockers)] : [];
  return [table, ...(unreadable.length > 0 ? ["", ...unreadable] : []), ...findings].join("\n");
}
