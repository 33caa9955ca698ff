import type { Command } from "commander";
import { findLeftovers, removeLeftover } from "../migration/leftovers.js";
import { withStore } from "../migration/open-store.js";
import { addOutputOption, formatTable, print, type OutputFlags } from "../output.js";
import { confirm } from "../options/prompt.js";
import { addSourceOptions, addTargetOptions, sourceOf, type SourceFlags, type TargetFlags } from "../options/server-options.js";

interface Flags extends TargetFlags, SourceFlags, OutputFlags {
  readonly yes?: boolean;
}

const examples = `
Example:
  pg-migration cleanup --service prod --source-service old

It removes what no migration recorded on this target knows of. Where the source is being migrated into another target as
well, look twice: that one's records are not seen from here.`;

export function addCleanup(program: Command): void {
  const command = program
    .command("cleanup")
    .description("show what dead migrations have left on both servers, and remove it once you agree")
    .option("-y, --yes", "do not ask");
  addSourceOptions(addTargetOptions(command));
  addOutputOption(command.optionsGroup("Options:"), "table").addHelpText("after", examples).action(cleanup);
}

async function cleanup(flags: Flags): Promise<void> {
  const source = await sourceOf(flags);
  await withStore(flags, async (store, target) => {
    const servers = { source, target };
    const leftovers = await findLeftovers(store, servers);
    print(flags.output, leftovers, () =>
      leftovers.length === 0
        ? "nothing is left"
        : formatTable(
            ["Server", "What", "Database", "Name"],
            leftovers.map((one) => [one.side, one.kind, one.database, one.name]),
          ),
    );
    if (leftovers.length === 0) return;
    await confirm(`Remove ${leftovers.length === 1 ? "it" : `all ${leftovers.length}`}?`, flags.yes ?? false);
    for (const leftover of leftovers) await removeLeftover(leftover, servers);
    process.stderr.write(`${leftovers.length} removed\n`);
  });
}
