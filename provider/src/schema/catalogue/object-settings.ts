import { createHash } from "node:crypto";
import type { Client } from "pg";
import { hasPublications, isUsersPublication } from "../../cdc/source/publication.js";
import { type ReplicaIdentities, tablesMarkedBy } from "../../cdc/source/replica-identity.js";
import { notExtensionMember, userSchemas } from "../../postgres/catalogue-filters.js";
import { serverVersion } from "../../postgres/server-version.js";

/**
 * A setting of an object in addition to its definition:
 * - storage options; statistics target, storage and compression of columns; comments;
 * - whether a table is unlogged, its replica identity, and when its foreign keys are checked;
 * - dictionaries of text search configurations, options of dictionaries, and options of publications;
 * - operators and functions that ALTER OPERATOR FAMILY added.
 */
export interface ObjectSetting {
  /** `option public.t fillfactor`, `comment COLUMN public.t.v` */
  readonly key: string;
  readonly set: string;
  /** Statement that restores the default. */
  readonly reset: string;
  /** Digest of `set`, which is the same in all versions. */
  readonly digest: string;
}

/** Digests by {@link ObjectSetting.key}. Plain JSON. */
export type ObjectSettings = Readonly<Record<string, string>>;

/** All settings of users' objects. The session's search_path has to be empty. */
export async function readObjectSettings(client: Client): Promise<ObjectSetting[]> {
  const { rows } = await client.query<ObjectSetting>(settingsQuery(await serverVersion(client)));
  const former = await readFormerIdentities(client);
  return rows.flatMap((one) => withFormerIdentity(one, former));
}

const temporaryIdentity = /(?<= REPLICA IDENTITY )FULL$/;

/** REPLICA IDENTITY FULL of a migration counts as the former identity. The user may have set another one since. */
function withFormerIdentity(setting: ObjectSetting, former: ReplicaIdentities): ObjectSetting[] {
  const identity = former[setting.key.replace(/^identity /, "")];
  if (identity === undefined || !temporaryIdentity.test(setting.set)) return [setting];
  if (identity === "DEFAULT") return [];
  const set = setting.set.replace(temporaryIdentity, identity);
  return [{ ...setting, set, digest: createHash("md5").update(set).digest("hex").slice(0, 8) }];
}

/** The former replica identities of tables that migrations changed temporarily. */
async function readFormerIdentities(client: Client): Promise<ReplicaIdentities> {
  if (!(await hasPublications(client))) return {};
  const { rows } = await client.query<{ comment: string }>(
    `SELECT obj_description(oid, 'pg_publication') AS comment FROM pg_publication
      WHERE NOT (${isUsersPublication}) AND obj_description(oid, 'pg_publication') IS NOT NULL`,
  );
  return Object.fromEntries(rows.flatMap(({ comment }) => Object.entries(tablesMarkedBy(comment))));
}

export const settingDigestsOf = (settings: readonly ObjectSetting[]): ObjectSettings =>
  Object.fromEntries(settings.map(({ key, digest }) => [key, digest]));

/** Statements that apply the source's changed settings to the target. Other settings of the target are kept. */
export function settingsSince(
  before: ObjectSettings,
  now: readonly ObjectSetting[],
  onTarget: readonly ObjectSetting[],
): string[] {
  const targetSettings = new Map(onTarget.map((one) => [one.key, one]));
  const stands = new Set(now.map(({ key }) => key));
  const changed = now.filter(({ key, digest }) => before[key] !== digest && targetSettings.get(key)?.digest !== digest);
  const removed = onTarget.filter(({ key }) => before[key] !== undefined && !stands.has(key));
  return [...removed.map(({ reset }) => reset), ...changed.map(({ set }) => set)];
}

function settingsQuery(version: number): string {
  const compression =
    version >= 140000
      ? `UNION ALL
  SELECT 'compression ' || label, alter || ' SET COMPRESSION ' || CASE attcompression WHEN 'p' THEN 'pglz' ELSE 'lz4' END, alter || ' SET COMPRESSION default'
    FROM attribute WHERE attcompression <> ''`
      : "";
  // Statistics targets of index expressions, which have no column names.
  const indexStatistics =
    version >= 110000
      ? `UNION ALL
  SELECT format('statistics %s %s', r.name, a.attnum), format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', r.name, a.attnum, a.attstattarget),
         format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS -1', r.name, a.attnum)
    FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid WHERE r.kind = 'INDEX' AND a.attnum > 0 AND a.attstattarget >= 0`
      : "";
  return `
WITH relation AS (
  SELECT c.oid, c.relkind, c.relpersistence, c.relreplident, n.nspname, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,
         CASE c.relkind WHEN 'i' THEN 'INDEX' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END AS kind, c.relname,
         coalesce(c.reloptions, '{}') || ARRAY(SELECT 'toast.' || one FROM pg_class t, unnest(t.reloptions) AS one WHERE t.oid = c.reltoastrelid) AS options
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'm', 'i') AND ${userSchemas("n")} AND n.nspname <> 'pgmigration'
     AND ${notExtensionMember("pg_class", "c.oid")}
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
   WHERE ${userSchemas("n")} AND ${notExtensionMember("pg_ts_config", "c.oid")}
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
  ${tableSettings(version)}
  ${dictionaryOptions}
  ${familyMembers}
  ${version >= 130000 ? statisticsTargets : ""}
  ${version >= 100000 ? publicationOptions(version) : ""}
  UNION ALL
  SELECT 'comment ' || label, format('COMMENT ON %s IS %L', label, description), format('COMMENT ON %s IS NULL', label) FROM comment
)
SELECT *, left(md5(set), 8) AS digest FROM setting`;
}

const storage = (letter: string): string =>
  `CASE ${letter} WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END`;

/** Settings of tables, of foreign keys, and of columns of views and foreign tables. */
function tableSettings(version: number): string {
  const ofParent = version >= 110000 ? "AND k.conparentid = 0" : "";
  const isPlain = version >= 120000 ? "AND a.attgenerated = ''" : "";
  return `UNION ALL
  SELECT 'unlogged ' || name, format('ALTER TABLE %s SET UNLOGGED', name), format('ALTER TABLE %s SET LOGGED', name)
    FROM relation WHERE relkind = 'r' AND relpersistence = 'u'
  UNION ALL
  SELECT ${identityKey("r")}, format('ALTER TABLE ONLY %s REPLICA IDENTITY %s', r.name, coalesce('USING INDEX ' || quote_ident(i.relname),
           CASE r.relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END)), format('ALTER TABLE ONLY %s REPLICA IDENTITY DEFAULT', r.name)
    FROM relation r LEFT JOIN (pg_index x JOIN pg_class i ON i.oid = x.indexrelid) ON x.indrelid = r.oid AND x.indisreplident
   WHERE r.kind = 'TABLE' AND (r.relreplident IN ('f', 'n') OR i.oid IS NOT NULL)
  UNION ALL
  SELECT 'clustered ' || r.name, format('ALTER %s %s CLUSTER ON %I', r.kind, r.name, i.relname), format('ALTER %s %s SET WITHOUT CLUSTER', r.kind, r.name)
    FROM relation r JOIN pg_index x ON x.indrelid = r.oid AND x.indisclustered JOIN pg_class i ON i.oid = x.indexrelid
  UNION ALL
  SELECT format('constraint %s %I', r.name, k.conname),
         format('ALTER TABLE %s ALTER CONSTRAINT %I DEFERRABLE%s', r.name, k.conname, CASE WHEN k.condeferred THEN ' INITIALLY DEFERRED' END),
         format('ALTER TABLE %s ALTER CONSTRAINT %I NOT DEFERRABLE', r.name, k.conname)
    FROM relation r JOIN pg_constraint k ON k.conrelid = r.oid WHERE k.contype = 'f' AND k.condeferrable ${ofParent}
  UNION ALL
  SELECT format('default %s.%I', name, attname), format('%s SET DEFAULT %s', alter, expression), alter || ' DROP DEFAULT'
    FROM (SELECT c.oid::regclass::text AS name, a.attname, pg_get_expr(d.adbin, d.adrelid) AS expression,
                 format('ALTER %s %s ALTER COLUMN %I', CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'FOREIGN TABLE' END, c.oid::regclass, a.attname) AS alter
            FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
           WHERE c.relkind IN ('v', 'f') AND ${userSchemas("n")} ${isPlain}) AS one`;
}

/** Contains the table's name in the form of qualify(). */
const identityKey = (relation: string): string => {
  const quoted = (name: string): string => `'"' || replace(${name}, '"', '""') || '"'`;
  return `'identity ' || ${quoted(`${relation}.nspname`)} || '.' || ${quoted(`${relation}.relname`)}`;
};

/** In the form of the catalogue: `stopwords = 'english', accept = 'false'`. */
const dictionaryOptions = `UNION ALL
  SELECT format('option %s %s', name, option), format('ALTER TEXT SEARCH DICTIONARY %s (%s = %s)', name, option, value),
         format('ALTER TEXT SEARCH DICTIONARY %s (%s)', name, option)
    FROM (SELECT quote_ident(n.nspname) || '.' || quote_ident(t.dictname) AS name, part[1] AS option, part[2] AS value
            FROM pg_ts_dict t JOIN pg_namespace n ON n.oid = t.dictnamespace
           CROSS JOIN LATERAL regexp_matches(t.dictinitoption, $re$("(?:[^"]|"")+"|[a-z0-9_]+) = (E?'(?:[^']|'')*'|[^', ]+)$re$, 'g') AS part
           WHERE ${userSchemas("n")} AND ${notExtensionMember("pg_ts_dict", "t.oid")}) AS one`;

/** Members of operator classes come with their classes. */
const familyMembers = `UNION ALL
  SELECT format('member %s %s', family, member), format('ALTER OPERATOR FAMILY %s ADD %s', family, member),
         format('ALTER OPERATOR FAMILY %s DROP %s (%s, %s)', family, number, format_type(left_type, NULL), format_type(right_type, NULL))
    FROM (SELECT 'pg_amop'::regclass AS catalogue, o.oid, amopfamily AS id, 'OPERATOR ' || amopstrategy AS number, amoplefttype AS left_type, amoprighttype AS right_type,
                 format('OPERATOR %s %s', amopstrategy, amopopr::regoperator)
                 || coalesce(' FOR ORDER BY ' || (SELECT format('%I.%I', n.nspname, s.opfname) FROM pg_opfamily s JOIN pg_namespace n ON n.oid = s.opfnamespace
                                                   WHERE s.oid = amopsortfamily), '') AS member FROM pg_amop o
          UNION ALL
          SELECT 'pg_amproc'::regclass, o.oid, amprocfamily, 'FUNCTION ' || amprocnum, amproclefttype, amprocrighttype,
                 format('FUNCTION %s (%s, %s) %s', amprocnum, format_type(amproclefttype, NULL), format_type(amprocrighttype, NULL), amproc::regprocedure)
            FROM pg_amproc o) AS one
    JOIN (SELECT f.oid AS id, format('%I.%I USING %I', n.nspname, f.opfname, m.amname) AS family
            FROM pg_opfamily f JOIN pg_namespace n ON n.oid = f.opfnamespace JOIN pg_am m ON m.oid = f.opfmethod
           WHERE ${userSchemas("n")} AND ${notExtensionMember("pg_opfamily", "f.oid")}) AS families USING (id)
   WHERE EXISTS (SELECT FROM pg_depend d WHERE d.classid = catalogue AND d.objid = one.oid AND d.refclassid = 'pg_opfamily'::regclass)`;

const statisticsTargets = `UNION ALL
  SELECT 'statistics ' || name, format('ALTER STATISTICS %s SET STATISTICS %s', name, target), format('ALTER STATISTICS %s SET STATISTICS -1', name)
    FROM (SELECT quote_ident(n.nspname) || '.' || quote_ident(s.stxname) AS name, s.stxstattarget AS target
            FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
           WHERE ${userSchemas("n")} AND ${notExtensionMember("pg_statistic_ext", "s.oid")}) AS one
   WHERE target >= 0`;

/** The published operations, and whether changes are published under the root's name. */
function publicationOptions(version: number): string {
  const kinds = ["insert", "update", "delete", ...(version >= 110000 ? ["truncate"] : [])];
  const published = kinds.map((kind) => `CASE WHEN pub${kind} THEN '${kind}' END`).join(", ");
  const viaRoot = `UNION ALL
  SELECT format('option %s root', pubname), format('ALTER PUBLICATION %I SET (publish_via_partition_root = true)', pubname),
         format('ALTER PUBLICATION %I SET (publish_via_partition_root = false)', pubname)
    FROM pg_publication WHERE pubviaroot AND ${isUsersPublication}`;
  return `UNION ALL
  SELECT format('option %s publish', pubname), format('ALTER PUBLICATION %I SET (publish = %L)', pubname, concat_ws(', ', ${published})),
         format('ALTER PUBLICATION %I SET (publish = %L)', pubname, '${kinds.join(", ")}')
    FROM pg_publication WHERE NOT (${kinds.map((kind) => `pub${kind}`).join(" AND ")}) AND ${isUsersPublication}
  ${version >= 130000 ? viaRoot : ""}`;
}
