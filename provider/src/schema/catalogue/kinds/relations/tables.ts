import { rulesOf } from "../../change-rule.js";
import { isUsersPublication } from "../../../../cdc/source/publication.js";
import { identityMark } from "../../../../cdc/source/replica-identity.js";
import { aRelation, type Kind, sorted, tablespaceOf } from "../../kind.js";

export const tables: Kind = (version) => ({
  ...aRelation,
  kind: "CASE o.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' ELSE 'foreign table' END",
  where: "o.relkind IN ('r', 'p', 'f')",
  acl: ["o.relacl", "r"],
  settings: {
    columns: `(SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped)`,
    unlogged: "o.relpersistence = 'u'",
    "storage parameters": storageParameters,
    "replica identity": replicaIdentity(version),
    "clustered on": clusteredOn,
    "row security": "o.relrowsecurity",
    "row security for the owner": "o.relforcerowsecurity",
    tablespace: tablespaceOf("o.reltablespace"),
    "of type": "CASE WHEN o.reloftype <> 0 THEN format_type(o.reloftype, NULL) END",
    server:
      "(SELECT s.srvname FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = o.oid)",
    "foreign options": sorted("(SELECT f.ftoptions FROM pg_foreign_table f WHERE f.ftrelid = o.oid)"),
    ...(version >= 100000 ? { "partition key": "CASE o.relkind WHEN 'p' THEN pg_get_partkeydef(o.oid) END" } : {}),
    ...(version >= 120000 ? { "access method": "(SELECT amname FROM pg_am WHERE oid = o.relam)" } : {}),
  },
});

/** Includes those of the table's TOAST table. */
export const storageParameters = sorted(
  "(coalesce(o.reloptions, '{}') || ARRAY(SELECT 'toast.' || p FROM pg_class t, unnest(t.reloptions) AS p WHERE t.oid = o.reltoastrelid))",
);

export const clusteredOn =
  "(SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = o.oid AND x.indisclustered)";

/** The former one while a migration has changed it to FULL. */
function replicaIdentity(version: number): string {
  const now = `CASE o.relreplident WHEN 'd' THEN 'DEFAULT' WHEN 'n' THEN 'NOTHING' WHEN 'f' THEN 'FULL'
    ELSE (SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = o.oid AND x.indisreplident) END`;
  if (version < 100000) return now;
  const quoted = (name: string): string => `'"' || replace(${name}, '"', '""') || '"'`;
  const marked = `${identityMark("obj_description(oid, 'pg_publication')")} ->> (${quoted("o.schema")} || '.' || ${quoted("o.name")})`;
  return `coalesce((SELECT ${marked} FROM pg_publication WHERE o.relreplident = 'f' AND NOT (${isUsersPublication}) AND ${marked} IS NOT NULL LIMIT 1), ${now})`;
}

export const tableRules = rulesOf("table", {
  created: { action: "copy", reason: "The stream has no rows from before the table joined it." },
  dropped: {
    action: "at",
    reason: "The target keeps the table, with its rows, in a schema of its own, until you drop it. See below.",
    ifRefused: "pause",
  },
  renamed: { action: "at", reason: "Later rows have the new name.", ifRefused: "pause" },
  moved: {
    change: "moved to another schema",
    action: "at",
    reason: "Later rows have the new name.",
    ifRefused: "pause",
  },
  replaced: {
    change: "replaced by another table of its name",
    action: "copy",
    reason:
      "The stream has no rows from before it took the name. The former table is renamed, too. If it was dropped, its rows are kept: see below.",
  },
  rewritten: { change: "rewritten by ALTER TABLE", action: "copy", reason: "The stream does not contain these rows." },
  unpublished: { change: "removed from the publication", action: "copy", reason: "The stream lacks its rows." },
});

export const typedTableRules = rulesOf("typed table", {
  released: { change: "NOT OF", action: "before", reason: "The table keeps its columns." },
  bound: { change: "OF", action: "after", reason: "The table has the columns of the type then." },
});
