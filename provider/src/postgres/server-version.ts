import type { Client } from "pg";

const known = new WeakMap<Client, number>();

/** Saves a query when the version is already known. @param version as returned by {@link serverVersion} */
export function rememberVersion(client: Client, version: number): void {
  known.set(client, version);
}

/**
 * `server_version_num`: 90624 for 9.6.24, 170010 for 17.10. Queried once per session, because the version of a
 * session's server cannot change.
 */
export async function serverVersion(client: Client): Promise<number> {
  const cached = known.get(client);
  if (cached !== undefined) return cached;
  const { rows } = await client.query<{ version: string }>("SELECT current_setting('server_version_num') AS version");
  const version = Number(rows[0]!.version);
  rememberVersion(client, version);
  return version;
}

/** The number of a major version: 906 for 9.6, 17 for 17.10. */
export const majorVersion = (version: number): number =>
  version >= 100000 ? Math.floor(version / 10000) : Math.floor(version / 100) / 100;
