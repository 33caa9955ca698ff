import type { Entry } from "../../schema/sql/toc-entries.js";
import { restoreGroups } from "../../schema/restore/restore-batches.js";
import { restoreEntries } from "../../schema/restore/restore.js";
import { reportFindings } from "../context/report-findings.js";
import { runInParallel } from "../context/run-in-parallel.js";
import type { CopyContext } from "./copy-context.js";

/** Restores the part of the schema that must exist before the rows are copied. */
export async function restoreBeforeRows(context: CopyContext): Promise<void> {
  const { work, database, target, plan, restore } = context;
  const findings = await restoreEntries(target, plan.before, restore, (groups) => restoreInParallel(context, groups));
  await reportFindings(work, database, findings);
}

const restoreInParallel = (
  { work, database, restore, signal }: CopyContext,
  groups: readonly (readonly Entry[])[],
): Promise<ReadonlySet<Entry>> =>
  restoreGroups(groups, restore, (batched, run) =>
    runInParallel({ work, database, purpose: "restore", groups: batched, signal, areBrief: true, run }),
  );
