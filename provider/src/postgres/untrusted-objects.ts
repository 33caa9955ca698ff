import type { Client } from "pg";
import { controlSchema, isTrusted, trustedRoles } from "./schema-trust.js";
import { userSchemas } from "./catalogue-filters.js";

/** What must have different names within a schema. A relation is also a type. */
export interface ObjectPlace {
  readonly kind: string;
  /** Empty for a schema. */
  readonly schema: string;
  readonly name: string;
}

export interface OwnedObject extends ObjectPlace {
  readonly owner: string;
  readonly isTable: boolean;
  /** OIDs of catalogue and object: `1259/16384`. */
  readonly key: string;
}

const kinds = [
  ["relation", "pg_class", "rel", "relkind IN ('r', 'p', 'v', 'm', 'f', 'c')"],
  ["relation", "pg_type", "typ", "typrelid = 0 AND (typelem = 0 OR typcategory <> 'A')"],
  ["function", "pg_proc", "pro", "true"],
  ["operator", "pg_operator", "opr", "true"],
  ["operator class", "pg_opclass", "opc", "true"],
  ["operator family", "pg_opfamily", "opf", "true"],
  ["collation", "pg_collation", "coll", "true"],
  ["conversion", "pg_conversion", "con", "true"],
  ["text search configuration", "pg_ts_config", "cfg", "true"],
  ["text search dictionary", "pg_ts_dict", "dict", "true"],
] as const;

const inSchemas = kinds.map(
  ([kind, catalogue, prefix, condition]) =>
    `SELECT '${kind}' AS kind, '${catalogue}'::regclass::oid AS catalogue, oid, ${prefix}namespace AS schema,
            ${prefix}name AS name, ${prefix}owner AS owner,
            ${catalogue === "pg_class" ? "relkind IN ('r', 'p')" : "false"} AS is_table
       FROM pg_catalog.${catalogue} WHERE ${condition}`,
);

/** SQL of the set `owned`: objects of users and of extensions. */
const owned = `
  owned AS (
    SELECT o.kind, n.nspname::text AS schema, o.name::text AS name, o.catalogue, o.oid, o.owner, o.is_table,
           EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = o.catalogue AND d.objid = o.oid AND d.deptype = 'e') AS is_member
      FROM (${inSchemas.join(" UNION ALL ")}) AS o JOIN pg_catalog.pg_namespace n ON n.oid = o.schema
     WHERE ${userSchemas("n")} AND n.nspname <> '${controlSchema}'
    UNION ALL
    SELECT 'schema', '', n.nspname, 'pg_namespace'::regclass, n.oid, n.nspowner, false, false
      FROM pg_catalog.pg_namespace n WHERE ${userSchemas("n")}
  )`;

// A table of an extension is no copy of a table.
const columns = `o.kind, o.schema, o.name, r.rolname::text AS owner, o.is_table AND NOT o.is_member AS "isTable",
         pg_catalog.concat(o.catalogue, '/', o.oid) AS key`;

/**
 * Objects whose owners are not trusted: their code would run with this role's privileges without being this role's. Predefined
 * roles own nothing that other roles could change. The owner of an extension may add any object of its own to it, so membership
 * in an extension shows nothing.
 *
 * @param place only objects in this place; by default all of the database
 */
export async function untrustedObjects(session: Client, place?: ObjectPlace): Promise<OwnedObject[]> {
  const { rows } = await session.query<OwnedObject>(
    `WITH RECURSIVE ${trustedRoles}, ${owned}
     SELECT ${columns} FROM owned o JOIN pg_catalog.pg_roles r ON r.oid = o.owner
      WHERE o.owner >= 16384 AND NOT ${isTrusted("o.owner")}
        AND ($1::text IS NULL OR o.kind = $1 AND o.schema = $2 AND o.name = $3)
      ORDER BY kind, schema, name`,
    place ? [place.kind, place.schema, place.name] : [null, null, null],
  );
  return rows;
}

/** The objects in some places, with any owner, without those of extensions. */
export async function objectsAt(session: Client, places: readonly ObjectPlace[]): Promise<OwnedObject[]> {
  const { rows } = await session.query<OwnedObject>(
    `WITH ${owned}
     SELECT ${columns} FROM owned o JOIN pg_catalog.pg_roles r ON r.oid = o.owner
      WHERE NOT o.is_member AND (o.kind, o.schema, o.name) IN (SELECT * FROM ROWS FROM
              (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[])))`,
    [places.map(({ kind }) => kind), places.map(({ schema }) => schema), places.map(({ name }) => name)],
  );
  return rows;
}

/** Identifies an {@link ObjectPlace}. */
export const placeKey = ({ kind, schema, name }: ObjectPlace): string => JSON.stringify([kind, schema, name]);
