import type { Client } from "pg";

/**
 * The search_path that finds the objects that the application's sessions find. The server inlines functions of an index
 * when it plans a query, and runs functions of a check for each row. They may refer to tables without a schema. The
 * catalogue comes first, so that no user's object hides a function that the engine calls.
 *
 * @param path as pg_settings shows it
 */
export const searchPathFor = (path: string): string => (path === "" ? "" : `pg_catalog, ${path}`);

/**
 * Sets the search_path of {@link searchPathFor}. In later statements of the session, qualify functions and operators, unless their
 * arguments have exactly the types of one in the catalogue. A role that may create objects in a schema of the path could at any
 * moment add a better match. It would run with this role's privileges.
 */
export async function useSearchPath(session: Client, path: string): Promise<void> {
  await session.query("SELECT pg_catalog.set_config('search_path', $1, false)", [searchPathFor(path)]);
}

/** Reads the catalogue with an empty search_path, in a session that otherwise has the application's. */
export async function withoutSearchPath<Result>(session: Client, read: () => Promise<Result>): Promise<Result> {
  const { rows } = await session.query<{ path: string }>(
    `SELECT pg_catalog.current_setting('search_path') AS path, pg_catalog.set_config('search_path', '', false)`,
  );
  try {
    return await read();
  } finally {
    // A failed transaction refuses this statement, and restores the path itself.
    await session
      .query("SELECT pg_catalog.set_config('search_path', $1, false)", [rows[0]!.path])
      .catch(() => undefined);
  }
}
