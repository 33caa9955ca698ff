import { streamOf } from "../../cdc/model/names.js";
import { RefusedError } from "../../errors.js";
import { serviceDatabases } from "../../inputs/service-databases.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import { listMigrations } from "../../store/list-migrations.js";
import { readDatabases } from "../../store/records.js";
import { hasRecords } from "../../store/installation/installed-schema.js";
import { withExistingStore, type Store } from "../../store/store.js";

/** Names that the records of a target contain. */
export interface RecordedNames {
  readonly migrations: Set<string>;
  /** Streams of the recorded slots and publications, see {@link streamOf}. */
  readonly streams: Set<string>;
}

/**
 * Reads the records in every database of a target, because each migration may have another maintenance database.
 *
 * @throws RefusedError when a database may contain records that this role cannot read
 */
export async function readRecordedNames(target: Endpoint): Promise<RecordedNames> {
  const names: RecordedNames = { migrations: new Set(), streams: new Set() };
  for (const database of await openDatabases(target)) {
    if (!(await hasRecords(target, database))) continue;
    await withExistingStore({ target, maintenanceDatabase: database }, "cleanup", (store) => {
      // The store of another database is returned if this role may not use the schema here.
      if (store?.database !== database) throw refuseUnreadable(target, database);
      return addNames(names, store);
    });
  }
  return names;
}

async function addNames({ migrations, streams }: RecordedNames, store: Store): Promise<void> {
  for (const { name } of await listMigrations(store)) {
    migrations.add(name);
    for (const { slot, publications } of await readDatabases(store, name))
      for (const object of [...(slot === undefined ? [] : [slot]), ...publications]) streams.add(streamOf(object));
  }
}

/** @throws RefusedError when this role cannot connect to one of them */
async function openDatabases(target: Endpoint): Promise<string[]> {
  const { rows } = await withSession(target, { database: "postgres", purpose: "cleanup" }, (client) =>
    client.query<{ name: string; isOpen: boolean }>(
      `SELECT datname AS name, has_database_privilege(datname, 'CONNECT') AS "isOpen" FROM pg_database
        WHERE datallowconn AND NOT datistemplate ORDER BY 1`,
    ),
  );
  const own = rows.filter(({ name }) => !serviceDatabases.includes(name));
  const closed = own.find(({ isOpen }) => !isOpen);
  if (closed) throw refuseUnreadable(target, closed.name);
  return own.map(({ name }) => name);
}

const refuseUnreadable = ({ user }: Endpoint, database: string): RefusedError =>
  new RefusedError(
    `${user} cannot read whether the target's database ${database} contains records of migrations, whose objects must stay`,
    {
      remedy: `run this as a role that may, or, as the owner of ${database}: GRANT CONNECT ON DATABASE ${quoteIdentifier(database)} TO ${quoteIdentifier(user)}`,
    },
  );
