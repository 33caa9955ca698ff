import type { Client } from "pg";
import type { Entry } from "../sql/toc-entries.js";
import { serverVersion } from "../../postgres/server-version.js";

/** Properties of the target, read once, and the entries skipped so far. */
export interface RestoreContext {
  /** server_version_num of the target. */
  readonly version: number;
  /** The restoring role, and the target database. */
  readonly administrator: string;
  readonly database: string;
  /** The target's roles, and whether the administrator can give objects to them. */
  readonly roles: ReadonlyMap<string, { readonly mayBecome: boolean }>;
  /** The restore adds access methods that it creates, directly or by extensions. */
  readonly tableAccessMethods: Set<string>;
  /** search_path of the source's database, which its functions may require. Undefined: not used. */
  readonly sourceSearchPath: string | undefined;
  /** An earlier run may have created objects, so that an existing object is accepted. */
  readonly resumed: boolean;
  /** Skipped entries by their IDs: possible causes of later refusals. Filled by the restore. */
  readonly skipped: Map<number, SkippedEntry>;
  /** {@link catalogueKey}s of objects that the target lacks, each with a finding. Filled by the restore. */
  readonly missing: Set<string>;
  readonly signal: AbortSignal | undefined;
}

/** Plain JSON, because the records keep it for other workers. */
export interface SkippedEntry extends Pick<Entry, "type" | "name"> {
  readonly schema?: string | undefined;
  readonly reason: string;
}

export interface RestoreOptions {
  /** From {@link readSearchPath}. */
  readonly sourceSearchPath?: string | undefined;
  /** An earlier worker may have restored entries on this target. Otherwise an existing object is an error. */
  readonly resumed?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** @param target a session of the restoring role in the target database */
export async function readRestoreContext(target: Client, options: RestoreOptions = {}): Promise<RestoreContext> {
  const version = await serverVersion(target);
  // From 16 on, membership and the right to SET ROLE are separate (pg_auth_members.set_option).
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

/** The initial search_path of sessions in the source's database, independent of this session's setting. */
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
