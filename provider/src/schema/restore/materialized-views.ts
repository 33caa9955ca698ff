import pg from "pg";
import { cancellation } from "../../copy/cancellation.js";
import { RefusedError, messageOf } from "../../errors.js";
import { qualify, quoteIdentifier, relationKey } from "../../postgres/identifiers.js";
import { sqlStateOf } from "../../postgres/sql-state.js";
import { readTrustedOwners } from "../../postgres/trusted-owners.js";
import { findingFor } from "./adapted-entry.js";
import type { Entry } from "../sql/toc-entries.js";
import { type RestoreFinding, summarize } from "../sql/restore-findings.js";
import type { RestoreContext } from "./restore-context.js";
import type { RelationName } from "../../postgres/identifiers.js";
import { restoreEntry } from "./restore-entry.js";

/**
 * Refreshes the materialized views that are populated on the source, in the given order. If a view's query fails for the
 * current rows, the view stays empty and is reported: it would fail on the source, too.
 */
export async function refreshMaterializedViews(
  source: pg.Client,
  target: pg.Client,
  views: readonly RelationName[],
  context: RestoreContext,
): Promise<RestoreFinding[]> {
  const { findings, refusals } = await refreshInRounds(target, await populated(source, views), context);
  return summarize([...findings, ...refusals.map(stayedEmpty)]);
}

export interface RefreshedViews {
  readonly findings: RestoreFinding[];
  /** To be refreshed after the handover. */
  readonly later: readonly RelationName[];
}

/**
 * Refreshes those materialized views that the restoring role may fill with its privileges, which are those of superusers and of
 * owners that the target lacks. It owns all relations until the handover. The other views may contain only what their owners, and
 * the owners of the views that they read, may read: {@link refreshAsOwners}.
 */
export async function refreshBeforeHandover(
  source: pg.Client,
  target: pg.Client,
  views: readonly RelationName[],
  context: RestoreContext,
): Promise<RefreshedViews> {
  const filled = await populated(source, views);
  if (filled.length === 0) return { findings: [], later: [] };
  const ofOthers = await ofOtherOwners(source, context);
  const later = filled.filter((view) => ofOthers.has(relationKey(view)));
  const now = filled.filter((view) => !ofOthers.has(relationKey(view)));
  const { findings, refusals } = await refreshInRounds(target, now, context);
  const waits = ([, refusal]: Refusal): boolean => later.length > 0 && isReadTooEarly(refusal);
  const lost = refusals.filter((one) => !waits(one));
  return {
    findings: summarize([...findings, ...lost.map(stayedEmpty)]),
    later: [...later, ...refusals.filter(waits).map(([view]) => view)],
  };
}

/** Refreshes materialized views after the handover. The server runs their queries as their owners. */
export async function refreshAsOwners(
  target: pg.Client,
  views: readonly RelationName[],
  context: RestoreContext,
): Promise<RestoreFinding[]> {
  if (views.length === 0) return [];
  const { rows } = await target.query<OwnedView>(
    `SELECT schemaname AS schema, matviewname AS name, matviewowner AS owner, pg_catalog.pg_has_role(matviewowner, 'USAGE') AS "isInherited"
       FROM pg_catalog.pg_matviews`,
  );
  const owners = new Map(rows.map((row) => [relationKey(row), row]));
  const owned = views.map((view): OwnedView => owners.get(relationKey(view)) ?? view);
  const { findings, refusals } = await refreshInRounds(target, owned, context);
  const empty = new Set(refusals.map(([view]) => view));
  // The statistics of all other relations were gathered before the handover.
  const filled = owned.filter((view) => !empty.has(view));
  return summarize([
    ...findings,
    ...refusals.map(stayedEmpty),
    ...(await refreshEach(target, filled, context, analyze)).refusals.map(notAnalyzed),
  ]);
}

async function populated(source: pg.Client, views: readonly RelationName[]): Promise<RelationName[]> {
  if (views.length === 0) return [];
  const { rows } = await source.query<RelationName>(
    "SELECT schemaname AS schema, matviewname AS name FROM pg_catalog.pg_matviews WHERE ispopulated",
  );
  const known = new Set(rows.map(relationKey));
  return views.filter((view) => known.has(relationKey(view)));
}

/** The source's materialized views of owners who get their objects, and those that read a view of such an owner. */
async function ofOtherOwners(
  source: pg.Client,
  { roles, administrator }: RestoreContext,
): Promise<ReadonlySet<string>> {
  const trusted = await readTrustedOwners(source);
  const owners = [...roles].filter(
    ([name, { mayBecome }]) => mayBecome && name !== administrator && !trusted.has(name),
  );
  const { rows } = await source.query<RelationName>(
    `WITH RECURSIVE view (oid) AS (
       SELECT oid FROM pg_catalog.pg_class
        WHERE relkind IN ('v', 'm') AND pg_catalog.pg_get_userbyid(relowner) = ANY ($1)
       UNION
       SELECT r.ev_class
         FROM view
         JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = view.oid
          AND d.classid = 'pg_catalog.pg_rewrite'::regclass
         JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
     )
     SELECT n.nspname AS schema, c.relname AS name
       FROM view
       JOIN pg_catalog.pg_class c ON c.oid = view.oid
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'm'`,
    [owners.map(([name]) => name)],
  );
  return new Set(rows.map(relationKey));
}

interface OwnedView extends RelationName {
  readonly owner?: string;
  /** Whether the restoring role has the owner's privileges without SET ROLE. */
  readonly isInherited?: boolean;
}

type Refusal = readonly [OwnedView, RefusedError];

interface Attempted {
  readonly findings: readonly RestoreFinding[];
  readonly refusals: readonly Refusal[];
}

/** A view may read another one through a function, which catalogues do not record; it is retried after the others. */
async function refreshInRounds(
  target: pg.Client,
  views: readonly OwnedView[],
  context: RestoreContext,
): Promise<Attempted> {
  const findings: RestoreFinding[] = [];
  const lost: Refusal[] = [];
  let waiting = views;
  while (waiting.length > 0) {
    const { refusals, findings: found } = await refreshEach(target, waiting, context, refresh);
    findings.push(...found);
    const unfilled = refusals.filter(([, refusal]) => isReadTooEarly(refusal));
    // No progress: the remaining views wait for a view that cannot be refreshed.
    const isOver = unfilled.length === waiting.length;
    lost.push(...(isOver ? refusals : refusals.filter((one) => !unfilled.includes(one))));
    waiting = isOver ? [] : unfilled.map(([view]) => view);
  }
  return { findings, refusals: lost };
}

function stayedEmpty([view, refusal]: Refusal): RestoreFinding {
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

const notAnalyzed = ([view, refusal]: Refusal): RestoreFinding =>
  findingFor(analyze(view), {
    code: "PGM-439",
    message: `ANALYZE of the materialized view failed: ${messageOf(refusal.cause)}`,
    remedy: `correct the cause, then on the target: ${analyze(view).sql}`,
    state: "Warning",
  });

async function refreshEach(
  target: pg.Client,
  views: readonly OwnedView[],
  context: RestoreContext,
  entryOf: (view: OwnedView) => Entry,
): Promise<Attempted> {
  const findings: RestoreFinding[] = [];
  const refusals: Refusal[] = [];
  for (const view of views) {
    if (context.signal?.aborted) throw cancellation(`refreshing views, before ${view.name},`, context.signal);
    try {
      findings.push(...(await restoreEntry(target, entryOf(view), context)));
    } catch (error) {
      if (context.signal?.aborted || !(error instanceof RefusedError)) throw error;
      refusals.push([view, error]);
    }
  }
  return { findings, refusals };
}

/** object_not_in_prerequisite_state: "materialized view ... has not been populated" */
const isReadTooEarly = ({ cause }: RefusedError): boolean =>
  cause instanceof pg.DatabaseError && cause.code === "55000";

/** In the form of pg_dump's entry with data. */
const refresh = ({ schema, name, owner }: OwnedView): Entry => ({
  id: 0,
  classOid: 0,
  oid: 0,
  dependencies: [],
  name,
  type: "MATERIALIZED VIEW DATA",
  schema,
  owner,
  tablespace: undefined,
  accessMethod: "heap",
  sql: `REFRESH MATERIALIZED VIEW ${qualify(schema, name)};`,
});

/** The server only warns if the role may not analyze, and skips the view. */
function analyze(view: OwnedView): Entry {
  const { schema, name, owner, isInherited = true } = view;
  const role = owner === undefined || isInherited ? "" : `SET LOCAL ROLE ${quoteIdentifier(owner)};\n`;
  return { ...refresh(view), sql: `${role}ANALYZE ${qualify(schema, name)};` };
}
