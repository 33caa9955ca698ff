import type { Client } from "pg";
import { type Snapshot, withSnapshotSession } from "../../copy/snapshot.js";
import { userSchemas } from "../../postgres/catalogue-filters.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";

/** Columns of a catalogue: the object's name, and the OID of its schema. */
const catalogues = {
  pg_class: ["relname", "relnamespace"],
  pg_constraint: ["conname", "connamespace"],
  pg_operator: ["oprname", "oprnamespace"],
  pg_proc: ["proname", "pronamespace"],
  pg_type: ["typname", "typnamespace"],
} as const;

/**
 * The objects, qualified and quoted, that the snapshot shows and that no longer exist. No lock protects views, functions and types
 * from DROP. PostgreSQL's functions that print a definition, such as pg_get_viewdef, fail for these objects also in the snapshot.
 *
 * @example const dropped = await objectsDroppedSince(source, "crm", snapshot);
 */
export async function objectsDroppedSince(
  source: Endpoint,
  database: string,
  { id }: Pick<Snapshot, "id">,
): Promise<string[]> {
  const read = (snapshotId: string | undefined): Promise<ReadonlyMap<string, string>> =>
    withSnapshotSession({ source, database, snapshotId, purpose: "dropped objects" }, readObjects);
  const [before, now] = [await read(id), await read(undefined)];
  return [...before].filter(([object]) => !now.has(object)).map(([, name]) => name);
}

/** The names of all objects, by catalogue and OID. */
async function readObjects(session: Client): Promise<ReadonlyMap<string, string>> {
  const ofCatalogue = ([catalogue, [name, schema]]: [string, readonly [string, string]]): string =>
    `SELECT '${catalogue} ' || o.oid AS object, format('%I.%I', n.nspname, o.${name}) AS name
       FROM ${catalogue} o JOIN pg_namespace n ON n.oid = o.${schema} WHERE ${userSchemas("n")}`;
  const { rows } = await session.query<{ object: string; name: string }>(
    Object.entries(catalogues).map(ofCatalogue).join(" UNION ALL "),
  );
  return new Map(rows.map(({ object, name }) => [object, name]));
}
