import type { Client } from "pg";
import { ownOnly } from "../postgres/own-only.js";
import { serverVersion } from "../postgres/server-version.js";

/**
 * What is set on an object beside its definition: a storage option, a column's statistics target, storage or
 * compression, a comment; the dictionaries of a text search configuration.
 */
export interface ObjectSetting {
  /** `option public.t fillfactor`, `comment COLUMN public.t.v` */
  readonly key: string;
  readonly set: string;
  /** Takes it back to what is so by default. */
  readonly reset: string;
  /** Of `set`, which all versions print alike. */
  readonly digest: string;
}

/** By {@link ObjectSetting.key}, its digest. Plain JSON. */
export type ObjectSettings = Readonly<Record<string, string>>;

/** All that is set on what users have made. The session's search_path has to be empty. */
export async function readObjectSettings(client: Client): Promise<ObjectSetting[]> {
  const { rows } = await client.query<ObjectSetting>(settingsQuery(await serverVersion(client)));
  return rows;
}

export const settingDigestsOf = (settings: readonly ObjectSetting[]): ObjectSettings =>
  Object.fromEntries(settings.map(({ key, digest }) => [key, digest]));

/** Statements for the target by what the source has changed since; what only the target has otherwise stays. */
export function settingsSince(
  before: ObjectSettings,
  now: readonly ObjectSetting[],
  onTarget: readonly ObjectSetting[],
): string[] {
  const here = new Map(onTarget.map((one) => [one.key, one]));
  const stands = new Set(now.map(({ key }) => key));
  const changed = now.filter(({ key, digest }) => before[key] !== digest && here.get(key)?.digest !== digest);
  const gone = onTarget.filter(({ key }) => before[key] !== undefined && !stands.has(key));
  return [...gone.map(({ reset }) => reset), ...changed.map(({ set }) => set)];
}

function settingsQuery(version: number): string {
  const compression =
    version >= 140000
      ? `UNION ALL
  SELECT 'compression ' || label, alter || ' SET COMPRESSION ' || CASE attcompression WHEN 'p' THEN 'pglz' ELSE 'lz4' END, alter || ' SET COMPRESSION default'
    FROM attribute WHERE attcompression <> ''`
      : "";
  // Of an index's expressions, which have no names of their own.
  const indexStatistics =
    version >= 110000
      ? `UNION ALL
  SELECT format('statistics %s %s', r.name, a.attnum), format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', r.name, a.attnum, a.attstattarget),
         format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS -1', r.name, a.attnum)
    FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid WHERE r.kind = 'INDEX' AND a.attnum > 0 AND a.attstattarget >= 0`
      : "";
  return `
WITH relation AS (
  SELECT c.oid, c.relkind, n.nspname, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,
         CASE c.relkind WHEN 'i' THEN 'INDEX' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END AS kind,
         coalesce(c.reloptions, '{}') || ARRAY(SELECT 'toast.' || one FROM pg_class t, unnest(t.reloptions) AS one WHERE t.oid = c.reltoastrelid) AS options
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'm', 'i') AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'pgmigration')
     AND ${ownOnly("pg_class", "c.oid")}
), attribute AS (
  SELECT a.*, r.name || '.' || quote_ident(a.attname) AS label,
         format('ALTER %s %s%s ALTER COLUMN %I', r.kind, CASE r.kind WHEN 'TABLE' THEN 'ONLY ' END, r.name, a.attname) AS alter
    FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid WHERE r.kind <> 'INDEX' AND a.attnum > 0 AND NOT a.attisdropped
), comment AS (
  -- 'table constraint', 'composite type column', 'foreign-data wrapper', 'statistics object': in the words of the command.
  SELECT regexp_replace(regexp_replace(replace(upper(i.type), '-', ' '), '^.* (COLUMN|CONSTRAINT|TYPE)$', '\\1'), 'S OBJECT$', 'S') || ' '
         || CASE i.type WHEN 'domain constraint' THEN regexp_replace(i.identity, '^(.*) on ', '\\1 ON DOMAIN ')
                        WHEN 'transform' THEN replace(i.identity, ' on language ', ' language ')
                        WHEN 'aggregate' THEN regexp_replace(i.identity, '\\(\\)$', '(*)') ELSE i.identity END AS label, d.description
    FROM pg_description d CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
   WHERE d.objoid >= 16384 AND i.type NOT IN ('extension', 'publication', 'subscription') AND coalesce(i.schema, '') !~ '^pg_'
     AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e')
), mapping AS (
  SELECT quote_ident(n.nspname) || '.' || quote_ident(c.cfgname) AS config, t.alias AS token,
         string_agg(quote_ident(dn.nspname) || '.' || quote_ident(d.dictname), ', ' ORDER BY m.mapseqno) AS dictionaries
    FROM pg_ts_config c JOIN pg_namespace n ON n.oid = c.cfgnamespace JOIN pg_ts_config_map m ON m.mapcfg = c.oid
   CROSS JOIN LATERAL (SELECT alias FROM ts_token_type(c.cfgparser) WHERE tokid = m.maptokentype) AS t
    JOIN pg_ts_dict d ON d.oid = m.mapdict JOIN pg_namespace dn ON dn.oid = d.dictnamespace
   WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND ${ownOnly("pg_ts_config", "c.oid")}
   GROUP BY 1, 2
), setting (key, set, reset) AS (
  SELECT format('option %s %s', name, option), format('ALTER %s %s SET (%s = %L)', kind, name, option, value), format('ALTER %s %s RESET (%s)', kind, name, option)
    FROM relation CROSS JOIN LATERAL unnest(options) AS one
   CROSS JOIN LATERAL (SELECT split_part(one, '=', 1) AS option, substr(one, strpos(one, '=') + 1) AS value) AS parts
  UNION ALL
  SELECT format('option %s %s', label, option), format('%s SET (%s = %L)', alter, option, value), format('%s RESET (%s)', alter, option)
    FROM attribute CROSS JOIN LATERAL unnest(attoptions) AS one
   CROSS JOIN LATERAL (SELECT split_part(one, '=', 1) AS option, substr(one, strpos(one, '=') + 1) AS value) AS parts
  UNION ALL
  SELECT 'statistics ' || label, alter || ' SET STATISTICS ' || attstattarget, alter || ' SET STATISTICS -1' FROM attribute WHERE attstattarget >= 0
  ${indexStatistics}
  UNION ALL
  SELECT format('mapping %s %s', config, token), format('ALTER TEXT SEARCH CONFIGURATION %s ALTER MAPPING FOR %I WITH %s', config, token, dictionaries),
         format('ALTER TEXT SEARCH CONFIGURATION %s DROP MAPPING IF EXISTS FOR %I', config, token) FROM mapping
  UNION ALL
  SELECT 'storage ' || label, alter || ' SET STORAGE ' || ${storage("a.attstorage")}, alter || ' SET STORAGE ' || ${storage("t.typstorage")}
    FROM attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attstorage <> t.typstorage
  ${compression}
  UNION ALL
  SELECT 'comment ' || label, format('COMMENT ON %s IS %L', label, description), format('COMMENT ON %s IS NULL', label) FROM comment
)
SELECT *, left(md5(set), 8) AS digest FROM setting`;
}

const storage = (letter: string): string =>
  `CASE ${letter} WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END`;
