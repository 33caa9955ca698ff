import type { Entry } from "../../schema/sql/toc-entries.js";
import { batches, restoreEntries, restoreTogether } from "../../schema/restore/restore.js";
import { reportFindings } from "../context/report-findings.js";
import { runInParallel } from "../context/run-in-parallel.js";
import type { CopyContext } from "./copy-context.js";

/** Restores the part of the schema that must exist before the rows are copied. */
export async function restoreBeforeRows(context: CopyContext): Promise<void> {
  const { work, database, target, plan, restore } = context;
  const findings = await restoreEntries(target, plan.before, restore, (groups) => restoreInParallel(context, groups));
  await reportFindings(work, database, findings);
}

/** @returns the restored entries */
async function restoreInParallel(
  { work, database, restore, signal }: CopyContext,
  groups: readonly (readonly Entry[])[],
): Promise<Set<Entry>> {
  const restored = new Set<Entry>();
  await runInParallel({
    work,
    database,
    purpose: "restore",
    groups: groups.map((group) => [...batches(group)]),
    signal,
    areBrief: true,
    run: async (target, batch) => {
      if (!(await restoreTogether(target, batch, restore))) return;
      for (const entry of batch) restored.add(entry);
    },
  });
  return restored;
}
