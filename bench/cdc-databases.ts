import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { changeCaptureNames } from "../provider/dist/cdc/model/names.js";
import { createPublications } from "../provider/dist/cdc/source/publication.js";
import { createSlot } from "../provider/dist/cdc/source/slot.js";
import type { SlotIdentity } from "../provider/dist/cdc/target/progress.js";
import { listTables } from "../provider/dist/postgres/tables.js";
import type { EmbeddedServer } from "../test/support/servers/embedded-server";
import type { Servers } from "./cores/measurement";

/** Publishes all tables of a database of the source. Returns the names of the publications. */
export async function publishTables({ source, target }: Servers, database: string): Promise<readonly string[]> {
  const names = changeCaptureNames(
    { migrationName: "bench", target: target.login, maintenanceDatabase: "postgres" },
    database,
  );
  const session = await source.connect(database);
  try {
    return (await createPublications(session, names, await listTables(session))).publications;
  } finally {
    await session.end();
  }
}

/** Creates a slot for the changes of a database from now on. */
export async function newSlot({ source }: Servers, database: string): Promise<SlotIdentity> {
  const slot = await createSlot({
    source: { ...source.login, sslMode: "Disable" },
    ...{ database, slot: `bench_${randomBytes(5).toString("hex")}`, plugin: "pgoutput" },
  });
  await slot.release();
  return slot;
}

/** @throws if the rows of a database differ between the servers */
export async function mustBeEqual({ source, target }: Servers, database: string): Promise<void> {
  const [before, after] = await Promise.all([source, target].map((server) => digest(server, database)));
  assert.deepEqual(after, before, `${database}: the target's content differs from the source's`);
}

async function digest(server: EmbeddedServer, database: string): Promise<unknown[]> {
  const tables = await server.query<{ name: string }>(
    "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
    { database },
  );
  const digests = tables.map(
    ({ name }) => `SELECT '${name}', count(*), sum(hashtextextended(t::text, 0)) FROM ${name} t`,
  );
  // A parallel plan returns the tables in any order.
  return server.query(`${digests.join(" UNION ALL ")} ORDER BY 1`, { database });
}
