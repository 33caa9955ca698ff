import { Option, type Command } from "commander";
import { formatTable } from "../../display/format-table.js";
import { hasEnded } from "../../status.js";
import { readStatus } from "../../store/read-status.js";
import { listMigrations } from "../../store/list-migrations.js";
import { gridColumns } from "../../display/grid-columns.js";
import { azureResource, type AzureFlags } from "../output/azure-resource.js";
import { migrationRow } from "../output/grid-row.js";
import { withStore } from "../migration/open-store.js";
import { addOutputOption, print, type OutputFlags } from "../output/print.js";
import { choice } from "../options/choice.js";
import { addTargetOptions, type TargetFlags } from "../options/server-options.js";

interface Flags extends TargetFlags, AzureFlags, OutputFlags {
  readonly filter: "Active" | "All";
  readonly name?: string;
}

export function addList(program: Command): void {
  const command = program
    .command("list")
    .description("list the migrations into a server, newest first")
    .addOption(
      choice("--filter <which>", "migrations to list; Active ones have not ended", ["Active", "All"]).default("Active"),
    )
    .addOption(new Option("-n, --name <server>", "server name, as in az before 2.86").hideHelp());
  addOutputOption(addTargetOptions(command), "json")
    .addHelpText("after", "\nExample:\n  pg-migration list --service prod --filter All -o table")
    .action(list);
}

function list(flags: Flags): Promise<void> {
  const target =
    flags.serverName === undefined && flags.name !== undefined ? { ...flags, serverName: flags.name } : flags;
  return withStore(target, async (store) => {
    const all = store ? await listMigrations(store) : [];
    const shown = all.filter(({ state }) => flags.filter === "All" || !hasEnded(state));
    const resources: unknown[] = [];
    for (const one of shown) resources.push(azureResource(one, await readStatus(store!, one.name), flags));
    await print(flags, resources, () =>
      formatTable(
        gridColumns,
        shown.map((one) => migrationRow(one)),
      ),
    );
  });
}
