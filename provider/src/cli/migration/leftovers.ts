import { listProgress } from "../../cdc/target/list-progress.js";
import { isRollbackProgress, sourceObjectPrefix, streamOf } from "../../cdc/model/names.js";
import { dropProgress } from "../../cdc/target/progress.js";
import { hasPublications } from "../../cdc/source/publication.js";
import { dropSlot } from "../../cdc/source/drop-slot.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import { readRecordedNames, type RecordedNames } from "./recorded-names.js";

/** A replication object or progress table that belongs to no recorded migration. */
export interface Leftover {
  readonly side: "source" | "target";
  readonly kind: "slot" | "publication" | "progress";
  readonly database: string;
  /** Name of the object; for progress, of the migration. */
  readonly name: string;
}

/** Searches every database of both servers. An active slot, with its publications, is not a leftover. */
export async function findLeftovers({ source, target }: { source: Endpoint; target: Endpoint }): Promise<Leftover[]> {
  const recorded = await readRecordedNames(target);
  return [...(await onSource(source, recorded)), ...(await onTarget(target, recorded))];
}

async function onSource(source: Endpoint, { streams }: RecordedNames): Promise<Leftover[]> {
  const found: Leftover[] = [];
  const used = new Set([...streams, ...(await activeStreams(source))]);
  for (const database of await databasesOf(source)) {
    const rows = await withSession(source, { database, purpose: "cleanup" }, async (client) => {
      const result = await client.query<Pick<Leftover, "kind" | "name">>(
        `SELECT 'slot' AS kind, slot_name AS name FROM pg_replication_slots
          WHERE database = current_database() AND slot_name LIKE $1
         ${(await hasPublications(client)) ? "UNION ALL SELECT 'publication', pubname FROM pg_publication WHERE pubname LIKE $1" : ""}
          ORDER BY 1 DESC, 2`,
        [`${sourceObjectPrefix.replace(/_/g, "\\_")}%`],
      );
      return result.rows;
    });
    found.push(
      ...rows
        .filter(({ name }) => !used.has(streamOf(name)))
        .map((row) => ({ side: "source" as const, database, ...row })),
    );
  }
  return found;
}

/** Streams of running workers. Migrations to other targets have their records there. */
async function activeStreams(source: Endpoint): Promise<string[]> {
  const { rows } = await withSession(source, { database: "postgres", purpose: "cleanup" }, (client) =>
    client.query<{ name: string }>("SELECT slot_name AS name FROM pg_replication_slots WHERE active"),
  );
  return rows.map(({ name }) => streamOf(name));
}

async function onTarget(target: Endpoint, { migrations }: RecordedNames): Promise<Leftover[]> {
  const found: Leftover[] = [];
  for (const database of await databasesOf(target)) {
    const recorded = await withSession(target, { database, purpose: "cleanup" }, listProgress);
    // A rollback's progress is on the source of its migration, whose records are on another server.
    const names = recorded.filter((name) => !migrations.has(name) && !isRollbackProgress(name));
    found.push(...names.map((name) => ({ side: "target" as const, kind: "progress" as const, database, name })));
  }
  return found;
}

async function databasesOf(server: Endpoint): Promise<string[]> {
  const { rows } = await withSession(server, { database: "postgres", purpose: "cleanup" }, (client) =>
    client.query<{ name: string }>(
      `SELECT datname AS name FROM pg_database
        WHERE datallowconn AND NOT datistemplate AND has_database_privilege(datname, 'CONNECT') ORDER BY 1`,
    ),
  );
  return rows.map(({ name }) => name);
}

export async function removeLeftover(
  { side, kind, database, name }: Leftover,
  servers: { source: Endpoint; target: Endpoint },
): Promise<void> {
  if (kind === "slot") return dropSlot(servers.source, database, name);
  await withSession(servers[side], { database, purpose: "cleanup" }, async (client) => {
    if (kind === "publication") await client.query(`DROP PUBLICATION IF EXISTS ${quoteIdentifier(name)}`);
    else await dropProgress(client, name);
  });
}
