import type { Client } from "pg";

/** The form of every value of a stream. */
export type ValueForm = "text" | "binary";

/** A stream of values in binary form has come to one that needs its text: it has to be begun again. */
export class TextFormatRequired extends Error {}

/** pgoutput's option `binary` came with it. */
const firstVersionWithBinary = 140000;

/**
 * Types whose binary form is the same in every version from 14 on, whatever is set on either side, by the object
 * identifiers that they have on every server (pg_type.dat). Left out: what carries identifiers of its own database
 * (enums, composites, reg*), what a setting or the platform writes (money, xml), and interval, of which 17 reads the
 * extremes as infinity. An array names the type of its elements.
 */
const sameOnBothSides: ReadonlySet<number> = new Set([
  // bool, bytea, name, int8, int2, int4, text, oid
  ...[16, 17, 19, 20, 21, 23, 25, 26],
  // json, cidr, float4, float8, macaddr, inet, bpchar, varchar
  ...[114, 650, 700, 701, 829, 869, 1042, 1043],
  // date, time, timestamp, timestamptz, timetz, bit, varbit, numeric, uuid, jsonb
  ...[1082, 1083, 1114, 1184, 1266, 1560, 1562, 1700, 2950, 3802],
  // Arrays of json, bool, bytea, int2, int4, text, bpchar, varchar, int8, float4, float8
  ...[199, 1000, 1001, 1005, 1007, 1009, 1014, 1015, 1016, 1021, 1022],
  // Arrays of timestamp, date, timestamptz, numeric, uuid, jsonb
  ...[1115, 1182, 1185, 1231, 2951, 3807],
]);

export const hasSameBinaryForm = (typeOid: number): boolean => sameOnBothSides.has(typeOid);

/**
 * The form to ask pgoutput for: binary costs both servers and us less, and will do for as long as no table has another
 * type.
 */
export async function valueFormOf(
  source: Client,
  version: number,
  publications: readonly string[],
  publishesGeneratedColumns: boolean,
): Promise<ValueForm> {
  if (version < firstVersionWithBinary) return "text";
  const { rows } = await source.query(
    `SELECT FROM pg_catalog.pg_publication_tables p
       JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname
       JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
       JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                                        AND (a.attgenerated = '' OR (a.attgenerated = 's' AND $3))
      WHERE p.pubname = ANY($1) AND a.atttypid <> ALL($2::oid[]) LIMIT 1`,
    [publications, [...sameOnBothSides], publishesGeneratedColumns],
  );
  return rows.length > 0 ? "text" : "binary";
}
