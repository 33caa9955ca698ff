import { Option, type Command } from "commander";
import { openInSnapshot, Snapshot } from "../../copy/snapshot.js";
import { tablesToCopy } from "../../copy/tables-to-copy.js";
import type { Inputs } from "../../inputs.js";
import { connect } from "../../postgres/connect.js";
import { compareTables, type TableComparison } from "../../verify/compare-tables.js";
import { contentDiffers } from "../../verify/content-differs.js";
import { addMigrationOptions, type MigrationFlags } from "../migration-flags.js";
import { withMigration } from "../open-store.js";
import { addOutputOption, formatTable, print, type OutputFlags } from "../output.js";
import { recordedInputs } from "../recorded-inputs.js";
import { addSourceOptions, type SourceFlags } from "../server-options.js";

interface Flags extends MigrationFlags, SourceFlags, OutputFlags {
  readonly mode: "counts" | "content";
}

type Compared = TableComparison & { readonly database: string };

const examples = `
Example:
  pg-migration verify --service prod --name crm

It reads both sides as they are now: what the source commits while an online migration follows it counts as a difference
until it is applied. It exits with 7 when something differs.`;

export function addVerify(program: Command): void {
  const command = program
    .command("verify")
    .description("compare every table of a migration between source and target")
    .addOption(
      new Option("--mode <mode>", "every stored value, or numbers of rows")
        .choices(["content", "counts"])
        .default("content"),
    );
  addSourceOptions(addMigrationOptions(command));
  addOutputOption(command.optionsGroup("Options:"), "table").addHelpText("after", examples).action(verify);
}

async function verify(flags: Flags): Promise<void> {
  const inputs = await withMigration(flags, ({ migration, target }) => recordedInputs(migration, target, flags));
  const compared: Compared[] = [];
  for (const database of inputs.dbsToMigrate) compared.push(...(await compare(inputs, database, flags.mode)));
  print(flags.output, compared, () =>
    formatTable(
      ["Database", "Table", "Source rows", "Target rows", "Equal"],
      compared.map((one) => [
        one.database,
        `${one.schema}.${one.table}`,
        String(one.sourceRows),
        String(one.targetRows),
        one.equal ? "yes" : "NO",
      ]),
    ),
  );
  for (const database of inputs.dbsToMigrate) {
    const difference = contentDiffers(
      database,
      compared.filter((one) => one.database === database),
    );
    if (difference) throw difference;
  }
}

async function compare(inputs: Inputs, database: string, mode: Flags["mode"]): Promise<Compared[]> {
  const snapshot = await Snapshot.export(inputs.source, database);
  const openSource = () => openInSnapshot(inputs.source, database, snapshot.id, "verify");
  try {
    const session = await openSource();
    const tables = await tablesToCopy(session).finally(() => session.end());
    const results = await compareTables({
      openSource,
      openTarget: () => connect(inputs.target, { database, purpose: "verify" }),
      tables,
      mode,
      jobs: inputs.tableJobs,
      signal: snapshot.lost,
    });
    return results.map((result) => ({ database, ...result }));
  } finally {
    await snapshot.release();
  }
}
