import type { Command } from "commander";
import { formatTable } from "../../display/format-table.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { addOutputOption, print, type OutputFlags } from "../output/print.js";
import {
  addSourceOptions,
  addTargetOptions,
  resolveSource,
  resolveTarget,
  type SourceFlags,
  type TargetFlags,
} from "../options/server-options.js";
import { usualMaintenanceDatabase } from "../../inputs/maintenance-database.js";

/** Parameters of the machine, which differ between any two servers. */
const machineParameters =
  /^(config_file|data_directory|hba_file|ident_file|external_pid_file|listen_addresses|port|log_|ssl_|unix_socket_|cluster_name|archive_|data_checksums|server_version|lc_messages|event_source|primary_|restore_)/;

export function addDiffParameters(program: Command): void {
  const command = program
    .command("diff-parameters")
    .description("list source server parameters that differ on the target");
  addSourceOptions(addTargetOptions(command));
  addOutputOption(command.optionsGroup("Options:"), "table")
    .addHelpText("after", "\nExample:\n  pg-migration diff-parameters --service prod --source-service old")
    .action(diffParameters);
}

async function diffParameters(flags: TargetFlags & SourceFlags & OutputFlags): Promise<void> {
  const target = await parametersOf(
    await resolveTarget(flags),
    flags.maintenanceDatabase ?? usualMaintenanceDatabase,
    false,
  );
  const source = await parametersOf(await resolveSource(flags), "postgres", true);
  const differing = [...source].flatMap(([name, value]) => {
    const other = target.get(name);
    return machineParameters.test(name) || other === value
      ? []
      : [{ name, source: value, target: other ?? "(does not exist)" }];
  });
  await print(flags, differing, () =>
    formatTable(
      ["Parameter", "Source", "Target"],
      differing.map((one) => [one.name, one.source, one.target]),
    ),
  );
}

async function parametersOf(server: Endpoint, database: string, onlySet: boolean): Promise<Map<string, string>> {
  const { rows } = await withSession(server, { database, purpose: "parameters" }, (client) =>
    client.query<{ name: string; value: string }>(
      `SELECT name, current_setting(name) AS value FROM pg_settings
        WHERE NOT $1 OR source NOT IN ('default', 'override', 'session', 'client') ORDER BY name`,
      [onlySet],
    ),
  );
  return new Map(rows.map(({ name, value }) => [name, value]));
}
