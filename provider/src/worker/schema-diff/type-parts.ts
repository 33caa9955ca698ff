import type { Client } from "pg";
import { notExtensionMember } from "../../postgres/catalogue-filters.js";
import { tablesByType } from "./type-drift.js";

/**
 * A value for each part of a type: for each label of an enum, and for each attribute of a composite type. The keys are the
 * type's OID and the part's name. If another part gets the same name, the value differs. Plain JSON.
 */
export type TypeParts = Readonly<Record<string, Readonly<Record<string, string>>>>;

/**
 * The value of a label includes its row version (xmin). If a label is renamed and later gets its former name again, another
 * label may have had this name meanwhile.
 */
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
