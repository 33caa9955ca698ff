import type { Client } from "pg";

/**
 * The search_path that finds the objects that the application's sessions find. The server inlines functions of an index
 * when it plans a query, and runs functions of a check for each row. They may refer to tables without a schema. The
 * catalogue comes first, so that no user's object hides a function that the engine calls.
 *
 * @param path as pg_settings shows it
 */
export const searchPathFor = (path: string): string => (path === "" ? "" : `pg_catalog, ${path}`);

/** Sets the search_path of {@link searchPathFor}. */
export async function useSearchPath(session: Client, path: string): Promise<void> {
  await session.query("SELECT pg_catalog.set_config('search_path', $1, false)", [searchPathFor(path)]);
}
