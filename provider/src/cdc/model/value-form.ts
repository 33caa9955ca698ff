import type { Client } from "pg";

/** The form of every value of a stream. */
export type ValueForm = "text" | "binary";

/** The first version whose pgoutput has the option `binary`. */
const firstVersionWithBinary = 140000;

/**
 * Types whose binary form is the same in every version from 14 on, independently of settings. The object identifiers are
 * those of pg_type.dat, which are the same on every server. The binary form of an array contains its element type. The list
 * omits:
 *
 * - types whose values contain identifiers of their database (enums, composites, reg*)
 * - types that depend on a setting or the platform (money, xml)
 * - interval, because version 17 reads its extreme values as infinity
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
 * The form to request from pgoutput. Binary form takes less CPU time on both servers and in the worker. It is used if all
 * columns of the published tables have one of the types above.
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
