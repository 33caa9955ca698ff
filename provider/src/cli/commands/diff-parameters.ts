import type { Command } from "commander";
import { connect, type Endpoint } from "../../postgres/connection/connect.js";
import { addOutputOption, formatTable, print, type OutputFlags } from "../output.js";
import {
  addSourceOptions,
  addTargetOptions,
  sourceOf,
  targetOf,
  type SourceFlags,
  type TargetFlags,
} from "../options/server-options.js";

/** What belongs to a machine and differs between any two servers. */
const ofTheMachine =
  /^(config_file|data_directory|hba_file|ident_file|external_pid_file|listen_addresses|port|log_|ssl_|unix_socket_|cluster_name|archive_|data_checksums|server_version|lc_messages|event_source|primary_|restore_)/;

export function addDiffParameters(program: Command): void {
  const command = program
    .command("diff-parameters")
    .description("list server parameters that are set on the source and differ on the target");
  addSourceOptions(addTargetOptions(command));
  addOutputOption(command.optionsGroup("Options:"), "table")
    .addHelpText("after", "\nExample:\n  pg-migration diff-parameters --service prod --source-service old")
    .action(diffParameters);
}

async function diffParameters(flags: TargetFlags & SourceFlags & OutputFlags): Promise<void> {
  const target = await parametersOf(await targetOf(flags), flags.maintenanceDatabase, false);
  const source = await parametersOf(await sourceOf(flags), "postgres", true);
  const differing = [...source].flatMap(([name, value]) => {
    const other = target.get(name);
    return ofTheMachine.test(name) || other === value
      ? []
      : [{ name, source: value, target: other ?? "(unknown there)" }];
  });
  print(flags.output, differing, () =>
    formatTable(
      ["Parameter", "Source", "Target"],
      differing.map((one) => [one.name, one.source, one.target]),
    ),
  );
}

async function parametersOf(server: Endpoint, database: string, onlySet: boolean): Promise<Map<string, string>> {
  const client = await connect(server, { database, purpose: "parameters" });
  try {
    const { rows } = await client.query<{ name: string; value: string }>(
      `SELECT name, current_setting(name) AS value FROM pg_settings
        WHERE NOT $1 OR source NOT IN ('default', 'override', 'session', 'client') ORDER BY name`,
      [onlySet],
    );
    return new Map(rows.map(({ name, value }) => [name, value]));
  } finally {
    await client.end();
  }
}
