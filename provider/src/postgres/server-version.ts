import type { Client } from "pg";

const known = new WeakMap<Client, number>();

/** So that nobody waits for an answer that has been given. @param version as of {@link serverVersion} */
export function rememberVersion(client: Client, version: number): void {
  known.set(client, version);
}

/** `server_version_num`: 90624 for 9.6.24, 170010 for 17.10. Asked once in a session, which its server does not outlive. */
export async function serverVersion(client: Client): Promise<number> {
  const told = known.get(client);
  if (told !== undefined) return told;
  const { rows } = await client.query<{ version: string }>("SELECT current_setting('server_version_num') AS version");
  const version = Number(rows[0]!.version);
  rememberVersion(client, version);
  return version;
}

/** The number that names a release line: 9.6 and 17 (the first two parts before 10, the first one since). */
export const majorVersion = (version: number): number =>
  version >= 100000 ? Math.floor(version / 10000) : Math.floor(version / 100) / 100;
