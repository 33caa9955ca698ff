import type { Client } from "pg";

/** `server_version_num`: 90624 for 9.6.24, 170010 for 17.10. */
export async function serverVersion(client: Client): Promise<number> {
  const { rows } = await client.query<{ version: string }>("SELECT current_setting('server_version_num') AS version");
  return Number(rows[0]!.version);
}

/** The number that names a release line: 9.6 and 17 (the first two parts before 10, the first one since). */
export const majorVersion = (version: number): number =>
  version >= 100000 ? Math.floor(version / 10000) : Math.floor(version / 100) / 100;
