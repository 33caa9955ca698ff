import type { Command } from "commander";
import { formatTable } from "../../display/format-table.js";
import { findLeftovers, removeLeftover } from "../migration/leftovers.js";
import { addOutputOption, print, type OutputFlags } from "../output/print.js";
import { writeMessage } from "../output/terminal.js";
import { confirm } from "../options/prompt.js";
import {
  addSourceOptions,
  addTargetOptions,
  resolveSource,
  resolveTarget,
  type SourceFlags,
  type TargetFlags,
} from "../options/server-options.js";

interface Flags extends TargetFlags, SourceFlags, OutputFlags {
  readonly yes?: boolean;
}

const examples = `
Example:
  pg-migration cleanup --service prod --source-service old

Lists and removes the replication objects that belong to no migration in any
database of this target. Objects that a running worker uses are not listed.
Migrations to other targets are not visible from here: if the source is migrated
elsewhere too, check the list before you agree.`;

export function addCleanup(program: Command): void {
  const command = program
    .command("cleanup")
    .description("remove slots and publications of deleted migrations")
    .option("-y, --yes", "skip the confirmation");
  addSourceOptions(addTargetOptions(command));
  addOutputOption(command.optionsGroup("Options:"), "table").addHelpText("after", examples).action(cleanup);
}

async function cleanup(flags: Flags): Promise<void> {
  const servers = { source: await resolveSource(flags), target: await resolveTarget(flags) };
  const leftovers = await findLeftovers(servers);
  await print(flags, leftovers, () =>
    leftovers.length === 0
      ? "no leftovers found"
      : formatTable(
          ["Server", "Object", "Database", "Name"],
          leftovers.map((one) => [one.side, one.kind, one.database, one.name]),
        ),
  );
  if (leftovers.length === 0) return;
  await confirm(`Remove ${leftovers.length === 1 ? "it" : `all ${leftovers.length}`}?`, flags.yes ?? false);
  for (const leftover of leftovers) await removeLeftover(leftover, servers);
  writeMessage(`${leftovers.length} removed`);
}
