import pg from "pg";
import { cancellation } from "../../copy/cancellation.js";
import { RefusedError, messageOf } from "../../errors.js";
import { qualify } from "../../postgres/identifiers.js";
import { sqlStateOf } from "../../postgres/sql-state.js";
import { findingFor } from "./adapted-entry.js";
import type { Entry } from "../sql/toc-entries.js";
import { type RestoreFinding, summarize } from "../sql/restore-findings.js";
import type { RestoreContext } from "./restore-context.js";
import type { RelationName } from "../../postgres/identifiers.js";
import { restoreEntry } from "./restore.js";

/**
 * Refreshes the materialized views that are populated on the source, in the given order. A view may read another one
 * through a function, which catalogues do not record; it is retried after the others. If a view's query fails for the
 * current rows, the view stays empty and is reported: it would fail on the source, too.
 */
export async function refreshMaterializedViews(
  source: pg.Client,
  target: pg.Client,
  views: readonly RelationName[],
  context: RestoreContext,
): Promise<RestoreFinding[]> {
  if (views.length === 0) return [];
  const { rows } = await source.query<RelationName>(
    "SELECT schemaname AS schema, matviewname AS name FROM pg_catalog.pg_matviews WHERE ispopulated",
  );
  const keyOf = ({ schema, name }: RelationName): string => JSON.stringify([schema, name]);
  const populated = new Set(rows.map(keyOf));
  const findings: RestoreFinding[] = [];
  let waiting = views.filter((view) => populated.has(keyOf(view)));
  while (waiting.length > 0) {
    const refusals = await refreshEach(target, waiting, context, findings);
    const unfilled = [...refusals].filter(([, refusal]) => isReadTooEarly(refusal)).map(([view]) => view);
    // No progress: the remaining views wait for a view that cannot be refreshed.
    const isOver = unfilled.length === waiting.length;
    const lost = [...refusals].filter(([view]) => isOver || !unfilled.includes(view));
    findings.push(...lost.map(([view, refusal]) => stayedEmpty(view, refusal)));
    waiting = isOver ? [] : unfilled;
  }
  return summarize(findings);
}

function stayedEmpty(view: RelationName, refusal: RefusedError): RestoreFinding {
  // Class 53: the target has no room, memory or connection left, whatever the query.
  const lacksResources = sqlStateOf(refusal.cause).startsWith("53");
  const reason = lacksResources ? "the target lacks resources" : "its query fails";
  const remedy = lacksResources ? "add the missing resources on the target" : "correct the cause of the error";
  return findingFor(refresh(view), {
    code: "PGM-422",
    message: `the materialized view was not refreshed, because ${reason}: ${messageOf(refusal.cause)}`,
    remedy: `${remedy}, then: ${refresh(view).sql}`,
    state: "Warning",
  });
}

async function refreshEach(
  target: pg.Client,
  views: readonly RelationName[],
  context: RestoreContext,
  findings: RestoreFinding[],
): Promise<ReadonlyMap<RelationName, RefusedError>> {
  const refusals = new Map<RelationName, RefusedError>();
  for (const view of views) {
    if (context.signal?.aborted) throw cancellation(`refreshing views, before ${view.name},`, context.signal);
    try {
      findings.push(...(await restoreEntry(target, refresh(view), context)));
    } catch (error) {
      if (context.signal?.aborted || !(error instanceof RefusedError)) throw error;
      refusals.set(view, error);
    }
  }
  return refusals;
}

/** object_not_in_prerequisite_state: "materialized view ... has not been populated" */
const isReadTooEarly = ({ cause }: RefusedError): boolean =>
  cause instanceof pg.DatabaseError && cause.code === "55000";

/** In the form of pg_dump's entry with data. */
const refresh = ({ schema, name }: RelationName): Entry => ({
  id: 0,
  classOid: 0,
  oid: 0,
  dependencies: [],
  name,
  type: "MATERIALIZED VIEW DATA",
  schema,
  owner: undefined,
  tablespace: undefined,
  accessMethod: "heap",
  sql: `REFRESH MATERIALIZED VIEW ${qualify(schema, name)};`,
});
