import { withTimeout } from "../async/with-timeout.js";
import type { Inputs } from "../inputs/inputs.js";
import { copyAgain } from "../cdc/source/slot-identity.js";
import { withSession } from "../postgres/connection/with-session.js";
import type { MigrationState } from "../status.js";
import { readDatabases, type DatabaseRecord } from "../store/records.js";
import type { Store } from "../store/store.js";

/** A replicated database, and the objects that it needs and that are missing on the source. */
export interface LostSourceObjects {
  readonly database: string;
  readonly message: string;
}

/** Time limit, because previews wait for it. */
const lookWithinMs = 4000;

/** Databases whose slot or publications are missing on the source; empty if the source does not answer in time. */
export async function lostSourceObjects(
  store: Store,
  inputs: Inputs,
  state: MigrationState,
): Promise<readonly LostSourceObjects[]> {
  if (inputs.migrationMode !== "Online" || state === "Succeeded" || state === "Canceled") return [];
  const databases = await readDatabases(store, inputs.migrationName);
  const followed = databases.filter(({ phase, slot }) => phase === "following" && slot !== undefined);
  const found = followed.map((database) => withTimeout(lossOf(inputs, database), lookWithinMs).catch(() => undefined));
  return (await Promise.all(found)).flatMap((loss) => loss ?? []);
}

async function lossOf(
  { source, migrationName }: Inputs,
  { name, slot, publications }: DatabaseRecord,
): Promise<LostSourceObjects | undefined> {
  const options = { database: name, purpose: `${migrationName} drift`, bookkeeping: true };
  const { rows } = await withSession(source, options, (session) =>
    session.query<{ name: string }>(
      `SELECT 'the slot ' || $1 AS name WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = $1)
       UNION ALL
       SELECT 'the publication ' || wanted FROM unnest($2::text[]) AS wanted
        WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = wanted)`,
      [slot, publications],
    ),
  );
  if (rows.length === 0) return undefined;
  const lost = rows.map((row) => row.name).join(" and ");
  const verb = rows.length > 1 ? "are" : "is";
  return {
    database: name,
    message: `${lost} ${verb} missing on the source, so changes made since then are lost. To do: ${copyAgain}`,
  };
}
