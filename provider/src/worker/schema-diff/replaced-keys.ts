import type { Client } from "pg";
import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import { serverVersion } from "../../postgres/server-version.js";

/** A key or unique index that the source replaced by another definition under the same name. */
export interface ReplacedKey {
  /** The table on the target, qualified and quoted, and its schema. */
  readonly table: string;
  readonly schema: string;
  /** Catalogue and OID of the key on the target and on the source: `constraint/16384`, `index/16385`. */
  readonly onTarget: string;
  readonly onSource: string;
  /** The statement that drops the key on the target, without CASCADE. */
  readonly drop: string;
}

export interface KeyReplacement {
  /** Statements that drop the target's key, and create indexes by which rows are found with the old and the new key. */
  readonly additions: readonly string[];
  /** Statements for the operator instead, if an object that only the target has depends on the key. */
  readonly manualChanges?: string;
  /** Drops these indexes, after the new key is created. */
  readonly deferred: readonly string[];
}

export interface KeySides {
  readonly source: Client;
  readonly target: Client;
  /** Whether the source has this foreign key, or had it when its schema was last applied to the target. */
  readonly hasForeignKey: (schema: string, table: string, name: string) => boolean;
}

const placeholderName = /^pg_migration_\d+_(before|now)$/;

/** Whether an index of the target is a temporary replacement of a key. */
export const isPlaceholder = (index: string): boolean => placeholderName.test(index);

export const dropPlaceholder = (schema: string, index: string): string =>
  `DROP INDEX IF EXISTS ${qualify(schema, index)}`;

/**
 * Changes from before and after the replacement may each violate the other key. So neither key may exist while these are
 * applied; plain indexes find the rows meanwhile. Dependent objects are dropped by name if the source has them, and are then
 * restored with all other missing objects.
 */
export async function replaceKey(sides: KeySides, key: ReplacedKey): Promise<KeyReplacement> {
  const { source, target } = sides;
  const dependents = await listDependents(target, key.onTarget);
  const routines = dependents.length > 0 ? await listIdentities(source) : new Set<string>();
  const isSources = ({ type, identity, foreignKey }: Dependent): boolean =>
    foreignKey
      ? sides.hasForeignKey(foreignKey.schema, foreignKey.table, foreignKey.name)
      : routines.has(`${type} ${identity}`);
  const drops = [...dependents.map(dropDependent), key.drop];
  if (!dependents.every(isSources)) return { additions: [], manualChanges: drops.join("; "), deferred: [] };
  const before = await keyColumns(target, key.onTarget);
  const now = await keyColumns(source, key.onSource);
  const canHaveNow = now.length > 0 && (await hasColumns(target, key.onTarget, now));
  const isCovered = canHaveNow && before.every((column, place) => now[place] === column);
  const placeholders = [
    { index: `pg_migration_${key.onTarget.replace(/\D/g, "")}_before`, columns: isCovered ? [] : before },
    { index: `pg_migration_${key.onTarget.replace(/\D/g, "")}_now`, columns: canHaveNow ? now : [] },
  ].filter(({ columns }) => columns.length > 0);
  return {
    additions: [
      ...placeholders.map(
        ({ index, columns }) =>
          `CREATE INDEX IF NOT EXISTS ${quoteIdentifier(index)} ON ${key.table} (${columns.map(quoteIdentifier).join(", ")})`,
      ),
      ...drops,
    ],
    deferred: placeholders.map(({ index }) => dropPlaceholder(key.schema, index)),
  };
}

interface Dependent {
  /** As `pg_identify_object` prints it. */
  readonly type: string;
  readonly identity: string;
  readonly foreignKey: { readonly schema: string; readonly table: string; readonly name: string } | null;
}

function dropDependent({ type, identity, foreignKey }: Dependent): string {
  if (!foreignKey) return `DROP ${type.toUpperCase()} IF EXISTS ${identity}`;
  const { schema, table, name } = foreignKey;
  return `ALTER TABLE ${qualify(schema, table)} DROP CONSTRAINT IF EXISTS ${quoteIdentifier(name)}`;
}

/** The objects that CASCADE would drop, in an order in which each can be dropped. Parts of other objects are omitted. */
async function listDependents(target: Client, key: string): Promise<Dependent[]> {
  const [catalogue, oid] = key.split("/");
  const { rows } = await target.query<Dependent>(
    `WITH RECURSIVE dependent (classid, objid, depth, part) AS (
       SELECT $1::regclass::oid, $2::oid, 0, true
       UNION
       -- The dependencies of a view are those of its rule.
       SELECT CASE WHEN w.oid IS NULL THEN d.classid ELSE 'pg_class'::regclass END, coalesce(w.ev_class, d.objid),
              o.depth + 1, w.oid IS NULL AND d.deptype <> 'n'
         FROM dependent o JOIN pg_depend d ON d.refclassid = o.classid AND d.refobjid = o.objid
         LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid AND w.rulename = '_RETURN'
        WHERE o.depth < 50 AND coalesce(w.ev_class, d.objid) <> o.objid
     )
     SELECT i.type, i.identity,
            CASE WHEN k.contype = 'f' THEN json_build_object('schema', n.nspname, 'table', c.relname, 'name', k.conname) END AS "foreignKey"
       FROM (SELECT classid, objid, max(depth) AS depth FROM dependent
              GROUP BY classid, objid HAVING NOT bool_or(part)) AS one
       LEFT JOIN pg_constraint k ON classid = 'pg_constraint'::regclass AND k.oid = objid
       LEFT JOIN pg_class c ON c.oid = k.conrelid LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
      CROSS JOIN LATERAL pg_identify_object(classid, objid, 0) AS i
      -- A foreign key to a partition belongs to the foreign key to its parent.
      WHERE k.conparentid IS NULL OR k.conparentid = 0
      ORDER BY depth DESC, i.identity`,
    [catalogue === "index" ? "pg_class" : "pg_constraint", oid],
  );
  return rows;
}

/** The objects other than foreign keys that may depend on a key, named as {@link Dependent} is. */
async function listIdentities(source: Client): Promise<Set<string>> {
  const { rows } = await source.query<{ name: string }>(
    `SELECT concat_ws(' ', i.type, i.identity) AS name
       FROM (SELECT 'pg_class'::regclass AS classid, oid FROM pg_class WHERE relkind IN ('v', 'm')
             UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE oid >= 16384
             UNION ALL SELECT 'pg_rewrite'::regclass, oid FROM pg_rewrite WHERE oid >= 16384
             UNION ALL SELECT 'pg_policy'::regclass, oid FROM pg_policy
             UNION ALL SELECT 'pg_trigger'::regclass, oid FROM pg_trigger WHERE NOT tgisinternal) AS object
      CROSS JOIN LATERAL pg_identify_object(object.classid, object.oid, 0) AS i`,
  );
  return new Set(rows.map(({ name }) => name));
}

/** Empty for exclusion constraints, and for expression and partial indexes, which do not find rows by columns. */
async function keyColumns(client: Client, key: string): Promise<string[]> {
  const columns = (await serverVersion(client)) >= 110000 ? "x.indnkeyatts" : "x.indnatts";
  const { rows } = await client.query<{ name: string }>(
    `SELECT a.attname AS name
       FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am m ON m.oid = i.relam
      CROSS JOIN LATERAL pg_catalog.unnest(x.indkey::int2[]) WITH ORDINALITY AS one (number, place)
       JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = one.number
      WHERE ${indexOf} AND x.indisunique AND x.indexprs IS NULL AND x.indpred IS NULL AND m.amname = 'btree' AND one.place <= ${columns}
      ORDER BY one.place`,
    [key],
  );
  return rows.map(({ name }) => name);
}

async function hasColumns(target: Client, key: string, columns: readonly string[]): Promise<boolean> {
  const { rows } = await target.query<{ known: string }>(
    `SELECT count(*) AS known FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid
      WHERE ${indexOf} AND a.attname = ANY ($2) AND NOT a.attisdropped`,
    [key, columns],
  );
  return Number(rows[0]!.known) === columns.length;
}

const indexOf = `x.indexrelid = coalesce((SELECT k.conindid FROM pg_constraint k WHERE 'constraint/' || k.oid = $1),
                                         (SELECT c.oid FROM pg_class c WHERE 'index/' || c.oid = $1))`;
