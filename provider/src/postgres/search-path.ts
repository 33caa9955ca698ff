import type { Client } from "pg";
import { isEverythingTrusted } from "./planner-functions.js";

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

/**
 * As {@link useSearchPath}, on the source. Not if other roles own objects there: one of their functions or operators could
 * replace PostgreSQL's own in a query, and would run with this role's privileges.
 */
export async function useTrustedSearchPath(session: Client, path: string): Promise<void> {
  if (await isEverythingTrusted(session)) await useSearchPath(session, path);
}
