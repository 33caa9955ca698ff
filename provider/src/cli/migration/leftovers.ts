import { listProgress } from "../../cdc/target/list-progress.js";
import { sourceObjectPrefix } from "../../cdc/model/names.js";
import { dropProgress } from "../../cdc/target/progress.js";
import { hasPublications } from "../../cdc/source/publication.js";
import { dropSlot } from "../../cdc/source/drop-slot.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import { listMigrations } from "../../store/list-migrations.js";
import { readDatabases } from "../../store/records.js";
import type { Store } from "../../store/store.js";

/** A replication object or progress table that belongs to no recorded migration. */
export interface Leftover {
  readonly side: "source" | "target";
  readonly kind: "slot" | "publication" | "progress";
  readonly database: string;
  /** Name of the object; for progress, of the migration. */
  readonly name: string;
}

/** Names that the records contain. */
interface Recorded {
  readonly migrations: ReadonlySet<string>;
  readonly objects: ReadonlySet<string>;
}

/** Searches every database of both servers. An active slot is not a leftover. */
export async function findLeftovers(
  store: Store | undefined,
  { source, target }: { source: Endpoint; target: Endpoint },
): Promise<Leftover[]> {
  const recorded = await readRecorded(store);
  return [...(await onSource(source, recorded)), ...(await onTarget(target, recorded))];
}

async function readRecorded(store: Store | undefined): Promise<Recorded> {
  const migrations = store ? await listMigrations(store) : [];
  const objects = new Set<string>();
  for (const { name } of migrations)
    for (const { slot, publications } of await readDatabases(store!, name))
      for (const object of [...(slot === undefined ? [] : [slot]), ...publications]) objects.add(object);
  return { migrations: new Set(migrations.map(({ name }) => name)), objects };
}

async function onSource(source: Endpoint, { objects }: Recorded): Promise<Leftover[]> {
  const found: Leftover[] = [];
  for (const database of await databasesOf(source)) {
    const rows = await withSession(source, { database, purpose: "cleanup" }, async (client) => {
      const result = await client.query<Pick<Leftover, "kind" | "name">>(
        `SELECT 'slot' AS kind, slot_name AS name FROM pg_replication_slots
          WHERE database = current_database() AND NOT active AND slot_name LIKE $1
         ${(await hasPublications(client)) ? "UNION ALL SELECT 'publication', pubname FROM pg_publication WHERE pubname LIKE $1" : ""}
          ORDER BY 1 DESC, 2`,
        [`${sourceObjectPrefix.replace(/_/g, "\\_")}%`],
      );
      return result.rows;
    });
    found.push(
      ...rows.filter(({ name }) => !objects.has(name)).map((row) => ({ side: "source" as const, database, ...row })),
    );
  }
  return found;
}

async function onTarget(target: Endpoint, { migrations }: Recorded): Promise<Leftover[]> {
  const found: Leftover[] = [];
  for (const database of await databasesOf(target)) {
    const recorded = await withSession(target, { database, purpose: "cleanup" }, listProgress);
    const names = recorded.filter((name) => !migrations.has(name));
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
