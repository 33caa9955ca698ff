import type { Client } from "pg";

/**
 * What search_path is set to for a session to find what the application's sessions find: a server inlines the functions
 * of an index when it plans a query, and runs those of a check for every row, and they may name their tables without a
 * schema. The catalogue comes first, so that nothing of the users' takes the place of what the engine itself calls.
 *
 * @param path as pg_settings shows it
 */
export const searchPathFor = (path: string): string => (path === "" ? "" : `pg_catalog, ${path}`);

/** As {@link searchPathFor}. */
export async function useSearchPath(session: Client, path: string): Promise<void> {
  await session.query("SELECT pg_catalog.set_config('search_path', $1, false)", [searchPathFor(path)]);
}
