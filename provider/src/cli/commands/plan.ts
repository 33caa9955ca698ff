import { Option, type Command } from "commander";
import { formatTable } from "../../display/format-table.js";
import { tableBytes, tablesToCopy } from "../../copy/tables-to-copy.js";
import { detectPlatform } from "../../platforms/detect-platform.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { formatBytes } from "../../units/byte-size.js";
import { formatDuration } from "../output/grid-row.js";
import { addOutputOption, print, type OutputFlags } from "../output/print.js";
import { addTargetOptions } from "../options/server-options.js";
import {
  addBodyOptions,
  resolveSourceAndDatabases,
  resolveOptionalTarget,
  type InputFlags,
} from "../options/migration-inputs.js";
import { copySeconds, defaultCopyRate } from "../../resource/summary/migration-summary.js";
import { defaultJobs } from "../../worker/context/default-parallelism.js";
import { sizeDocuments } from "../sizing/azure-sizes.js";
import { readSourceSize } from "../sizing/read-source-size.js";
import { recommendSku, type SkuAdvice } from "../sizing/recommend-sku.js";
import { wholeNumber } from "../options/whole-number.js";
import { usualMaintenanceDatabase } from "../../inputs/maintenance-database.js";

interface PlannedTable {
  readonly database: string;
  readonly table: string;
  readonly bytes: number;
  /** Null for a table that was never analysed. */
  readonly rowsEstimated: number | null;
}

interface Flags extends InputFlags, OutputFlags {
  readonly rate: number;
  readonly vcores?: number;
}

const examples = `
Example:
  pg-migration plan --source-service old --databases crm shop --rate 80

The estimate is the size of all tables divided by the rate. Indexes take about
as long again.`;

export function addPlan(program: Command): void {
  const command = program
    .command("plan")
    .description("list tables to copy, estimate time and server size")
    .addOption(new Option("--rate <MB/s>", "expected throughput").argParser(wholeNumber).default(defaultCopyRate))
    .addOption(new Option("--vcores <number>", "vCores of the source, to size the target").argParser(wholeNumber));
  addTargetOptions(addBodyOptions(command));
  addOutputOption(command.optionsGroup("Options:"), "table").addHelpText("after", examples).action(plan);
}

async function plan(flags: Flags): Promise<void> {
  const { source, databases } = await resolveSourceAndDatabases(flags);
  const target = await resolveOptionalTarget(flags);
  const { maintenanceDatabase = usualMaintenanceDatabase } = flags;
  const jobs = target && (await defaultJobs({ source, target }, { dbsToMigrate: [...databases], maintenanceDatabase }));
  const tables: PlannedTable[] = [];
  for (const database of databases) tables.push(...(await tablesOf(source, database)));
  tables.sort((one, other) => other.bytes - one.bytes);
  const bytes = tables.reduce((sum, table) => sum + table.bytes, 0);
  const secondsEstimated = copySeconds(bytes, flags.rate);
  const sku = await skuFor(source, databases, flags.vcores);
  await print(flags, { tables, bytes, secondsEstimated, ...jobs, sku }, () =>
    [
      formatTable(
        ["Database", "Table", "Size", "Rows (estimated)"],
        tables.map((one) => [
          one.database,
          one.table,
          formatBytes(one.bytes),
          one.rowsEstimated === null ? "-" : String(one.rowsEstimated),
        ]),
      ),
      "",
      `${tables.length} tables, ${formatBytes(bytes)}: about ${formatDuration(secondsEstimated)} at ${flags.rate} MB/s`,
      jobs
        ? `${jobs.tableJobs} tables and ${jobs.indexJobs} indexes in parallel, from both servers' settings (tableJobs, indexJobs)`
        : "pass the target as well to see how many tables and indexes are copied in parallel",
      "",
      ...skuLines(sku),
    ].join("\n"),
  );
}

async function skuFor(
  source: Endpoint,
  databases: readonly string[],
  vCores: number | undefined,
): Promise<SkuAdvice | undefined> {
  return withSession(source, { database: databases[0]!, purpose: "plan" }, async (session) => {
    const { sharedBuffersShare } = await detectPlatform(session);
    return recommendSku({ ...(await readSourceSize(session, databases)), sharedBuffersShare, vCores });
  });
}

function skuLines(advice: SkuAdvice | undefined): string[] {
  if (!advice) return [`no size of the v5 series with Premium SSD is large enough: see ${sizeDocuments[0]!}`];
  const { sku, tier, vCores, memoryGib, storageGib, iopsTier, iops, reasons } = advice;
  return [
    `recommended: ${sku} (${tier}, ${vCores} vCores, ${memoryGib} GiB of memory), ${storageGib} GiB of storage, ${iopsTier} (${iops} IOPS)`,
    ...reasons.map((reason) => `  ${reason}`),
    ...sizeDocuments.map((page) => `  ${page}`),
  ];
}

async function tablesOf(source: Endpoint, database: string): Promise<PlannedTable[]> {
  const tables = await withSession(source, { database, purpose: "plan" }, tablesToCopy);
  return tables.map(({ table }) => ({
    database,
    table: `${table.schema}.${table.name}`,
    bytes: tableBytes({ ...table }),
    rowsEstimated: table.estimatedRows < 0 ? null : table.estimatedRows,
  }));
}
