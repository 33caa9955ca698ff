import { Option, type Command } from "commander";
import { tableBytes, tablesToCopy } from "../../copy/tables-to-copy.js";
import { connect, type Endpoint } from "../../postgres/connection/connect.js";
import { formatBytes } from "../../units/byte-size.js";
import { formatDuration } from "../output/grid-row.js";
import { addOutputOption, formatTable, print, type OutputFlags } from "../output.js";
import { addTargetOptions } from "../options/server-options.js";
import { addBodyOptions, wantedSource, wantedTarget, type WantedFlags } from "../options/migration-inputs.js";
import { defaultJobs } from "../../worker/context/default-parallelism.js";
import { wholeNumber } from "../options/whole-number.js";

interface PlannedTable {
  readonly database: string;
  readonly table: string;
  readonly bytes: number;
  readonly rowsEstimated: number;
}

interface Flags extends WantedFlags, OutputFlags {
  readonly rate: number;
}

const examples = `
Example:
  pg-migration plan --source-service old --databases crm shop --rate 80

The estimate is the bytes of all tables over the rate; indexes take as long again, more or less.`;

export function addPlan(program: Command): void {
  const command = program
    .command("plan")
    .description("say what would be copied, largest first, and about how long it takes")
    .addOption(
      new Option("--rate <MB/s>", "what the network and both servers together move").argParser(wholeNumber).default(50),
    );
  addTargetOptions(addBodyOptions(command));
  addOutputOption(command.optionsGroup("Options:"), "table").addHelpText("after", examples).action(plan);
}

async function plan(flags: Flags): Promise<void> {
  const { source, databases } = await wantedSource(flags);
  const target = await wantedTarget(flags);
  const { maintenanceDatabase } = flags;
  const jobs = target && (await defaultJobs({ source, target }, { dbsToMigrate: [...databases], maintenanceDatabase }));
  const tables: PlannedTable[] = [];
  for (const database of databases) tables.push(...(await tablesOf(source, database)));
  tables.sort((one, other) => other.bytes - one.bytes);
  const bytes = tables.reduce((sum, table) => sum + table.bytes, 0);
  const secondsEstimated = Math.ceil(bytes / (Math.max(1, flags.rate) * 1024 * 1024));
  print(flags.output, { tables, bytes, secondsEstimated, ...jobs }, () =>
    [
      formatTable(
        ["Database", "Table", "Size", "Rows (estimated)"],
        tables.map((one) => [one.database, one.table, formatBytes(one.bytes), String(one.rowsEstimated)]),
      ),
      "",
      `${tables.length} tables, ${formatBytes(bytes)}: about ${formatDuration(secondsEstimated)} at ${flags.rate} MB/s`,
      jobs
        ? `${jobs.tableJobs} tables at a time and ${jobs.indexJobs} indexes, by both servers' settings (tableJobs, indexJobs)`
        : "name the target, too, to see how many tables and indexes at a time",
    ].join("\n"),
  );
}

async function tablesOf(source: Endpoint, database: string): Promise<PlannedTable[]> {
  const client = await connect(source, { database, purpose: "plan" });
  try {
    return (await tablesToCopy(client)).map(({ table }) => ({
      database,
      table: `${table.schema}.${table.name}`,
      bytes: tableBytes({ ...table }),
      rowsEstimated: Math.max(0, table.estimatedRows),
    }));
  } finally {
    await client.end();
  }
}
