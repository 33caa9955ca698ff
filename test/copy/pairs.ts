import { randomBytes } from "node:crypto";
import pg from "pg";
import { connect } from "../../provider/src/postgres/connection/connect";
import type { ConnectOptions, Endpoint } from "../../provider/src/postgres/connection/endpoint";
import { type SizedTable, listSizedTables } from "../../provider/src/postgres/tables";
import type { EmbeddedServer } from "../support/servers/embedded-server";

/** The engine's endpoint for a test server. */
export const endpointOf = (server: EmbeddedServer): Endpoint => ({ ...server.login, sslMode: "Disable" });

/** Opens a session with the engine's options. */
export const open = (server: EmbeddedServer, database: string, purpose = "test"): Promise<pg.Client> =>
  connect(endpointOf(server), { database, purpose } satisfies ConnectOptions);

/** Creates an empty database with a unique name. */
export async function freshDatabase(server: EmbeddedServer, ...statements: string[]): Promise<string> {
  const name = `db_${randomBytes(5).toString("hex")}`;
  await server.query(`CREATE DATABASE ${name}`);
  for (const statement of statements) await server.query(statement, { database: name });
  return name;
}

export async function tableNamed(client: pg.Client, name: string): Promise<SizedTable> {
  const table = (await listSizedTables(client)).find((each) => each.name === name);
  if (!table) throw new Error(`there is no table ${name}`);
  return table;
}

/** Runs the body with two sessions, and always closes them. */
export async function withSessions<T>(
  [source, sourceDatabase]: readonly [EmbeddedServer, string],
  [target, targetDatabase]: readonly [EmbeddedServer, string],
  body: (source: pg.Client, target: pg.Client) => Promise<T>,
): Promise<T> {
  const from = await open(source, sourceDatabase);
  const into = await open(target, targetDatabase);
  try {
    return await body(from, into);
  } finally {
    await Promise.all([from.end(), into.end()]);
  }
}
