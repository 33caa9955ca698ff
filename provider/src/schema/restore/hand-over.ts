import type { Client } from "pg";
import type { RelationName } from "../../postgres/identifiers.js";
import { isEventTrigger } from "../plan/restore-plan.js";
import type { RestoreFinding } from "../sql/restore-findings.js";
import type { Entry } from "../sql/toc-entries.js";
import { refreshAsOwners } from "./materialized-views.js";
import type { RestoreContext } from "./restore-context.js";
import { restoreEntries } from "./restore.js";

export interface Handover {
  /** From {@link RestorePlan}. */
  readonly entries: readonly Entry[];
  /** Materialized views to be refreshed as their owners. */
  readonly refreshLater: readonly RelationName[];
  readonly context: RestoreContext;
  readonly report: (findings: readonly RestoreFinding[]) => Promise<void>;
  /** Called after the refresh, before event triggers are created: they would fire for another refresh. */
  readonly onRefreshed?: () => Promise<void>;
}

/**
 * Gives all objects to their owners, with the privileges of other roles, then refreshes materialized views. Event triggers follow,
 * because they would fire for the refresh.
 */
export async function handOver(
  target: Client,
  { entries, refreshLater, context, report, onRefreshed }: Handover,
): Promise<void> {
  await report(
    await restoreEntries(
      target,
      entries.filter((entry) => !isEventTrigger(entry)),
      context,
    ),
  );
  if (refreshLater.length > 0) {
    await report(await refreshAsOwners(target, refreshLater, context));
    await onRefreshed?.();
  }
  await report(await restoreEntries(target, entries.filter(isEventTrigger), context));
}
