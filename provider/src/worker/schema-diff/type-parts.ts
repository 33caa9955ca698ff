import type { Client } from "pg";
import { notExtensionMember } from "../../postgres/catalogue-filters.js";
import { tablesByType } from "./type-drift.js";

/**
 * Identifies each part of a type, by the type's OID and the part's name. Another part with the same name has another value.
 * Parts are labels of an enum and attributes of a composite type. Plain JSON.
 */
export type TypeParts = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Of a label's version: renamed and named back again, another one may have had its name meanwhile. */
export async function readTypeParts(source: Client): Promise<TypeParts> {
  const { rows } = await source.query<{ parts: TypeParts | null }>(
    `SELECT json_object_agg(type, parts) AS parts
       FROM (SELECT type, json_object_agg(name, part) AS parts
               FROM (SELECT e.enumtypid AS type, e.enumlabel AS name, concat_ws('/', e.oid, e.xmin) AS part FROM pg_enum e
                     UNION ALL
                     SELECT c.reltype, a.attname, a.attnum::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
                      WHERE c.relkind = 'c' AND a.attnum > 0 AND NOT a.attisdropped) AS one
              WHERE ${notExtensionMember("pg_type", "type")}
              GROUP BY type) AS types`,
  );
  return rows[0]!.parts ?? {};
}

/**
 * The OIDs of the source's tables with values whose text has another meaning than before. The stream contains values as text,
 * and the target applied them with the former meaning until it was altered, too.
 */
export async function omitParts(source: Client, now: TypeParts, before: TypeParts = {}): Promise<string[]> {
  const isOther = (type: string): boolean => {
    // A map, because a label may have the name of a property of Object.prototype.
    const parts = new Map(Object.entries(now[type] ?? {}));
    return Object.entries(before[type] ?? {}).some(([name, part]) => (parts.get(name) ?? part) !== part);
  };
  const types = Object.keys(now).filter(isOther);
  if (types.length === 0) return [];
  const tables = await tablesByType(source);
  return types.flatMap((type) => (tables.get(type) ?? []).map(({ oid }) => oid));
}
