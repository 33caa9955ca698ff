import { userSchemas } from "../../postgres/catalogue-filters.js";
import type { Client } from "pg";
import { qualify } from "../../postgres/identifiers.js";
import { serverVersion } from "../../postgres/server-version.js";

/** A digest of each partition's bounds, by its OID. Plain JSON. */
export type Bounds = Readonly<Record<string, string>>;

interface Child {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  readonly parentSchema: string;
  readonly parent: string;
  /** As the server prints it. Empty for a child table that is not a partition. */
  readonly bound: string;
  readonly digest: string;
}

export async function readBounds(source: Client): Promise<Bounds> {
  const partitions = (await listChildren(source)).filter(({ bound }) => bound !== "");
  return Object.fromEntries(partitions.map(({ oid, digest }) => [oid, digest]));
}

export interface InheritanceSides {
  readonly source: Client;
  readonly target: Client;
  /** Returns the target's name of a schema of the source. */
  readonly schemaOnTarget: (schema: string) => string;
  /** Whether both sides have a table, qualified and quoted as on the target. */
  readonly hasTable: (table: string) => boolean;
  /** The bounds when they were last applied to the target; undefined if they were not recorded. */
  readonly before: Bounds | undefined;
}

export interface InheritanceDrift {
  /**
   * Statements that detach partitions and child tables which the source detached or gave other bounds. The stream contains
   * their changes under their own names.
   */
  readonly additions: readonly string[];
  /** The tables that the additions detach, qualified and quoted. */
  readonly detached: ReadonlySet<string>;
  /** The parents of tables that inherit on both sides, without partitions. Qualified and quoted. */
  readonly parents: ReadonlyMap<string, readonly string[]>;
  /** Statements that make tables inherit. Partitions are attached with the other missing objects. */
  readonly deferred: readonly string[];
}

export async function readInheritanceDrift(sides: InheritanceSides): Promise<InheritanceDrift> {
  const { schemaOnTarget, hasTable, before } = sides;
  const onSource = new Map((await listChildren(sides.source)).map((child) => [keyOf(child, schemaOnTarget), child]));
  const onTarget = new Map((await listChildren(sides.target)).map((child) => [keyOf(child), child]));
  const detached = new Set<string>();
  const parents = new Map<string, string[]>();
  const additions = [...onTarget].flatMap(([key, child]) => {
    const [name, parent] = [qualify(child.schema, child.name), qualify(child.parentSchema, child.parent)];
    if (!hasTable(name) || !hasTable(parent)) return [];
    const sourceChild = onSource.get(key);
    // Versions may print the same bounds in two ways.
    const isMoved =
      sourceChild && sourceChild.bound !== child.bound && before && before[sourceChild.oid] !== sourceChild.digest;
    if (sourceChild && !isMoved) {
      if (child.bound === "") parents.set(name, [...(parents.get(name) ?? []), parent]);
      return [];
    }
    detached.add(name);
    return [
      child.bound === ""
        ? `ALTER TABLE ${name} NO INHERIT ${parent}`
        : `ALTER TABLE ${parent} DETACH PARTITION ${name}`,
    ];
  });
  const deferred = [...onSource].flatMap(([key, { schema, name, parentSchema, parent, bound }]) => {
    const [heir, from] = [qualify(schemaOnTarget(schema), name), qualify(schemaOnTarget(parentSchema), parent)];
    const isWanted = bound === "" && !onTarget.has(key) && hasTable(heir) && hasTable(from);
    return isWanted ? [`ALTER TABLE ${heir} INHERIT ${from}`] : [];
  });
  return { additions, detached, parents, deferred };
}

const keyOf = ({ schema, name, parentSchema, parent }: Child, schemaOnTarget = (one: string): string => one): string =>
  JSON.stringify([schemaOnTarget(schema), name, schemaOnTarget(parentSchema), parent]);

async function listChildren(client: Client): Promise<Child[]> {
  const bound =
    (await serverVersion(client)) >= 100000
      ? "CASE WHEN c.relispartition THEN coalesce(pg_get_expr(c.relpartbound, c.oid), '') ELSE '' END"
      : "''::text";
  const { rows } = await client.query<Child>(`
    SELECT oid::text AS oid, schema, name, "parentSchema", parent, bound, left(md5(bound), 8) AS digest
      FROM (SELECT c.oid, n.nspname AS schema, c.relname AS name, pn.nspname AS "parentSchema", p.relname AS parent, ${bound} AS bound
              FROM pg_inherits h
              JOIN pg_class c ON c.oid = h.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
              JOIN pg_class p ON p.oid = h.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
             WHERE c.relkind IN ('r', 'p') AND ${userSchemas("n")}) AS child`);
  return rows;
}
