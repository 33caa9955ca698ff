import type { Client } from "pg";
import type { Entry } from "../sql/toc-entries.js";
import { serverVersion } from "../../postgres/server-version.js";

/** What the target is and allows, asked once, and what has been left out so far. */
export interface RestoreContext {
  /** server_version_num of the target. */
  readonly version: number;
  /** The role that restores, and its database. */
  readonly administrator: string;
  readonly database: string;
  /** The target's roles, and whether the administrator can give objects to each. */
  readonly roles: ReadonlyMap<string, { readonly mayBecome: boolean }>;
  /** Filled by the restore as it creates access methods, or extensions with some. */
  readonly tableAccessMethods: Set<string>;
  /** search_path of the source's database, under which its functions expect to run; undefined leaves them without. */
  readonly sourceSearchPath: string | undefined;
  /** Entries may have run before, so that an object that exists is the one wanted. */
  readonly resumed: boolean;
  /** Entries that the target does not get, by their ids: possible causes of later refusals. Filled by the restore. */
  readonly skipped: Map<number, SkippedEntry>;
  /** {@link catalogueKey}s of objects that the target does not get, each with a finding. Filled by the restore. */
  readonly missing: Set<string>;
  readonly signal: AbortSignal | undefined;
}

/** Plain JSON: the store keeps it for other workers. */
export interface SkippedEntry extends Pick<Entry, "type" | "name"> {
  readonly schema?: string | undefined;
  readonly reason: string;
}

export interface RestoreOptions {
  /** From {@link readSearchPath}. */
  readonly sourceSearchPath?: string | undefined;
  /** A worker before this one may have run entries on this target. Without it, an object that exists is an error. */
  readonly resumed?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** @param target a session in the database that is restored into, as the role that restores */
export async function readRestoreContext(target: Client, options: RestoreOptions = {}): Promise<RestoreContext> {
  const version = await serverVersion(target);
  // Since 16, membership and the right to SET ROLE are two things (pg_auth_members.set_option).
  const privilege = version >= 160000 ? "SET" : "MEMBER";
  const { rows } = await target.query<{ administrator: string; database: string; roles: Record<string, boolean> }>(
    `SELECT current_user AS administrator, current_database() AS database,
            (SELECT json_object_agg(rolname, pg_has_role(oid, '${privilege}')) FROM pg_roles) AS roles`,
  );
  const { administrator, database, roles } = rows[0]!;
  return {
    version,
    administrator,
    database,
    roles: new Map(Object.entries(roles).map(([name, mayBecome]) => [name, { mayBecome }])),
    tableAccessMethods: new Set(await readTableAccessMethods(target)),
    sourceSearchPath: options.sourceSearchPath,
    resumed: options.resumed ?? false,
    skipped: new Map(),
    missing: new Set(),
    signal: options.signal,
  };
}

/** The search_path with which a session of the source's database begins, whatever this session has set since. */
export async function readSearchPath(source: Client): Promise<string> {
  const { rows } = await source.query<{ path: string }>(
    "SELECT reset_val AS path FROM pg_catalog.pg_settings WHERE name = 'search_path'",
  );
  return rows[0]!.path;
}

export async function readTableAccessMethods(target: Client): Promise<string[]> {
  const { rows } = await target.query<{ name: string }>(
    "SELECT amname AS name FROM pg_catalog.pg_am WHERE amtype = 't'",
  );
  return rows.map(({ name }) => name);
}
