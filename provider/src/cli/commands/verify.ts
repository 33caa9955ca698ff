import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import type { Client } from "pg";
import { formatTable } from "../../display/format-table.js";
import { Snapshot } from "../../copy/snapshot.js";
import { specOf, type Inputs } from "../../inputs/inputs.js";
import { ContentDiffersError, RefusedError, messageOf } from "../../errors.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { answeredRequest, hasEnded, type MigrationStatus } from "../../status.js";
import { changeMigration } from "../../resource/changes/change-migration.js";
import { readStatus } from "../../store/read-status.js";
import { readAsked } from "../../store/requests.js";
import type { Store } from "../../store/store.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { isVerified, refuseReplaced } from "../../supervisor/wait-target.js";
import { sentence } from "../../worker/streaming/online-verification.js";
import { planComparison } from "../../worker/comparison/compare-database.js";
import { defaultJobs } from "../../worker/context/default-parallelism.js";
import { compareLargeObjects } from "../../verify/compare-large-objects.js";
import { compareTables, type ComparisonView, type TableComparison } from "../../verify/compare-tables.js";
import { contentDiffers } from "../../verify/content-differs.js";
import { openToCompare } from "../../verify/open-to-compare.js";
import { formatBytes } from "../../units/byte-size.js";
import { workFacts } from "../../display/database-facts.js";
import { choice } from "../options/choice.js";
import { addMigrationOptions, type MigrationFlags } from "../options/migration-options.js";
import { withMigration, type FoundMigration } from "../migration/open-store.js";
import { addOutputOption, print, type OutputFlags } from "../output/print.js";
import { type ProgressLines, openProgressLines } from "../output/progress-lines.js";
import { recordedInputs } from "../migration/recorded-inputs.js";
import { addSourceOptions, type SourceFlags } from "../options/server-options.js";

interface Flags extends MigrationFlags, SourceFlags, OutputFlags {
  readonly mode: "counts" | "content";
  readonly online?: boolean;
}

type Compared = TableComparison & { readonly database: string };

const examples = `
Examples:
  pg-migration verify --service prod --name crm
  pg-migration verify --service prod --name crm --online

Reads the current content of both sides. During an online migration, changes
that are not yet applied count as differences. With --online, the worker
compares both sides at one point of the source's history, exactly, while
applications write. Exits with 7 when something differs.`;

export function addVerify(program: Command): void {
  const command = program
    .command("verify")
    .description("compare every table between source and target")
    .addOption(
      choice("--mode <mode>", "compare all values, or only row counts", ["content", "counts"]).default("content"),
    )
    .option("--online", "compare at one point in time while applications write");
  addSourceOptions(addMigrationOptions(command));
  addOutputOption(command.optionsGroup("Options:"), "table")
    .addHelpText("after", examples)
    .action((flags: Flags) =>
      flags.online ? withMigration(flags, (found) => verifyOnline(found, flags)) : verify(flags),
    );
}

const pollMs = 500;

async function verifyOnline({ store, migration }: FoundMigration, flags: Flags): Promise<void> {
  const requestedBy = `command ${new Date().toISOString()}`;
  await requireFollowing(store, migration.name);
  await changeMigration(store, migration.name, { verifyNow: requestedBy });
  const status = await reporting((report) => untilVerified(store, migration.name, requestedBy, report));
  const results = Object.values(status.currentSubStateDetails.dbDetails).flatMap(({ databaseName, verification }) =>
    verification && answeredRequest(verification) === requestedBy ? [{ database: databaseName, ...verification }] : [],
  );
  await print(flags, results, () =>
    formatTable(
      ["Database", "Result", "At", "Tables", "Different", "Paused (s)"],
      results.map((one) => [
        one.database,
        one.state,
        one.lsn ?? "",
        String(one.tablesCompared ?? ""),
        String(one.tablesDifferent ?? ""),
        one.heldSeconds?.toFixed(1) ?? "",
      ]),
    ),
  );
  const [failed] = results.filter(({ state }) => state === "failed");
  const different = results.filter(({ state }) => state === "different");
  if (different.length > 0) throw new ContentDiffersError(different.map(sentence).join("\n"));
  if (failed) throw new RefusedError(`${failed.database} could not be compared: ${sentence(failed)}`);
}

async function untilVerified(
  store: Store,
  name: string,
  requestedBy: string,
  report: ProgressLines["report"],
): Promise<MigrationStatus> {
  for (;;) {
    const status = await requireFollowing(store, name);
    if (isVerified(status, requestedBy)) return status;
    refuseReplaced(status, requestedBy, (await readAsked(store, name)).verifyNow);
    for (const one of Object.values(status.currentSubStateDetails.dbDetails))
      for (const fact of workFacts(one)) report(`${one.databaseName}: ${fact}`);
    await sleep(pollMs);
  }
}

async function reporting<Result>(run: (report: ProgressLines["report"]) => Promise<Result>): Promise<Result> {
  const lines = openProgressLines();
  try {
    return await run((line) => lines.report(line));
  } finally {
    lines.close();
  }
}

/** @throws RefusedError if no worker follows the source */
async function requireFollowing(store: Store, name: string): Promise<MigrationStatus> {
  const status = await readStatus(store, name);
  if (
    status?.currentSubStateDetails.currentSubState === "WaitingForCutoverTrigger" &&
    status.worker.state === "running"
  )
    return status;
  throw new RefusedError(`${name} is not following its source (${status?.state ?? "deleted"})`, {
    remedy: "leave out --online, or wait for the substate WaitingForCutoverTrigger with pg-migration watch",
  });
}

async function verify(flags: Flags): Promise<void> {
  const [inputs, state] = await withMigration(flags, async ({ migration, target }) => [
    await recordedInputs(migration, target, flags),
    migration.state,
  ]);
  const compared: Compared[] = [];
  await reporting(async (report) => {
    for (const database of inputs.dbsToMigrate) compared.push(...(await compare(inputs, database, flags.mode, report)));
  });
  await print(flags, compared, () =>
    formatTable(
      ["Database", "Table", "Source rows", "Target rows", "By", "Equal"],
      compared.map((one) => [
        one.database,
        `${one.schema}.${one.table}`,
        String(one.sourceRows),
        String(one.targetRows),
        one.by,
        one.equal ? "yes" : "NO",
      ]),
    ),
  );
  for (const database of inputs.dbsToMigrate) {
    const difference = contentDiffers(
      database,
      compared.filter((one) => one.database === database),
      [],
      hasEnded(state)
        ? "one side was written to after the migration ended; decide which side is right, and correct the other one"
        : "changes may not be applied yet: compare with --online, or again without writes on the source",
    );
    if (difference) throw difference;
  }
}

async function compare(
  inputs: Inputs,
  database: string,
  mode: Flags["mode"],
  report: ProgressLines["report"],
): Promise<Compared[]> {
  const spec = specOf(inputs);
  const isOnline = spec.migrationMode === "Online";
  const snapshot = await Snapshot.export(inputs.source, database);
  const purpose = "verify";
  const openSource = (view?: ComparisonView): Promise<Client> =>
    openToCompare({ endpoint: inputs.source, database, purpose, snapshotId: snapshot.id }, view);
  const openTarget = (view?: ComparisonView): Promise<Client> =>
    openToCompare({ endpoint: inputs.target, database: targetDatabase(spec, database), purpose }, view);
  try {
    const results = await compareTables({
      openSource,
      openTarget,
      underSnapshots: ["source"],
      ...(await planComparison({ spec }, openSource, isOnline)),
      mode,
      jobs: inputs.tableJobs ?? (await defaultJobs(inputs, spec)).tableJobs,
      onProgress: ({ bytesCompared, bytesTotal }) => {
        const percent = Math.floor((100 * bytesCompared) / Math.max(1, bytesTotal));
        report(`${database}: compared ${percent} % of ${formatBytes(bytesTotal)}`);
      },
      signal: snapshot.lost,
    });
    // A stream does not contain large objects: an online migration copies them once, and a finding reports it.
    const objects = mode === "content" && !isOnline ? await compareObjects(openSource, openTarget) : undefined;
    return [...results, ...(objects ? [objects] : [])].map((result) => ({ database, ...result }));
  } finally {
    await snapshot.release();
  }
}

async function compareObjects(
  openSource: () => Promise<Client>,
  openTarget: () => Promise<Client>,
): Promise<TableComparison | undefined> {
  const source = await openSource();
  const target = await openTarget().catch(async (error: unknown) => {
    await source.end();
    throw error;
  });
  try {
    return await compareLargeObjects(source, target);
  } catch (error) {
    if (sqlStateOf(error) !== sqlStates.insufficientPrivilege) throw error;
    throw new RefusedError(`large objects cannot be compared: ${messageOf(error)}`, {
      remedy: "verify with roles that may read them on both sides, or skip them with --mode counts",
      cause: error,
    });
  } finally {
    await Promise.all([source.end(), target.end()]);
  }
}
