import { Option, type Command } from "commander";
import { formatTable } from "../../display/format-table.js";
import { hasEnded } from "../../status.js";
import { readStatus } from "../../store/read-status.js";
import { FleetReader } from "../../fleet/fleet-reader.js";
import { findingsOf, fleetRows, isActive } from "../../fleet/fleet-rows.js";
import { listWithOverviews } from "../../fleet/list-overviews.js";
import { exitCodes } from "../exit-code.js";
import { listMigrations } from "../../store/list-migrations.js";
import { gridColumns } from "../../display/grid-columns.js";
import { azureResource, type AzureFlags } from "../output/azure-resource.js";
import { migrationRow } from "../output/grid-row.js";
import { withStore } from "../migration/open-store.js";
import { formatFindingGroups } from "../output/problem-lines.js";
import { addOutputOption, print, type OutputFlags } from "../output/print.js";
import { choice } from "../options/choice.js";
import { addTargetOptions, type TargetFlags } from "../options/server-options.js";
import { addTargetsOption, type TargetsFlags } from "../options/targets-option.js";
import { fleetSummary, fleetTable } from "../targets/fleet-table.js";
import { openFleet } from "../targets/open-fleet.js";

interface Flags extends TargetFlags, TargetsFlags, AzureFlags, OutputFlags {
  readonly filter: "Active" | "All";
  readonly name?: string;
}

const examples = `
Examples:
  pg-migration list --service prod --filter All -o table
  pg-migration list --targets targets.csv -o table`;

export function addList(program: Command): void {
  const command = program
    .command("list")
    .description("list the migrations into a server, newest first, or into many servers")
    .addOption(
      choice("--filter <which>", "migrations to list; Active ones have not ended", ["Active", "All"]).default("Active"),
    )
    .addOption(new Option("-n, --name <server>", "server name, as in az before 2.86").hideHelp());
  addOutputOption(addTargetsOption(addTargetOptions(command)), "json")
    .addHelpText("after", examples)
    .action(list);
}

function list(flags: Flags): Promise<void> {
  if (flags.targets !== undefined) return listFleet(flags.targets, flags);
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

async function listFleet(list: string, flags: Flags): Promise<void> {
  const { targets } = await openFleet(list, flags);
  const reader = new FleetReader(targets, (store) => (store ? listWithOverviews(store) : Promise.resolve([])), "list");
  const rows = fleetRows(await reader.poll());
  await reader.close();
  const shown = rows.filter((row) => isActive(row) || (flags.filter === "All" && row.state !== null));
  await print(flags, shown, () => {
    const findings = findingsOf(shown);
    const problems = findings.length === 0 ? [] : [formatFindingGroups(findings)];
    return [fleetTable(shown), ...problems, fleetSummary(rows)].join("\n\n");
  });
  if (rows.some(({ unreachable }) => unreachable !== null)) process.exitCode ??= exitCodes.unreachable;
}
