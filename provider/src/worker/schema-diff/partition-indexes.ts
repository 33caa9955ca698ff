import type { Client } from "pg";
import { userSchemas } from "../../postgres/catalogue-filters.js";
import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import { serverVersion } from "../../postgres/server-version.js";

interface Index {
  readonly schema: string;
  readonly name: string;
  readonly table: string;
  /** The index of the partitioned table that it belongs to; null if it belongs to none. */
  readonly parent: { readonly schema: string; readonly name: string } | null;
}

export interface IndexSides {
  readonly source: Client;
  readonly target: Client;
  /** Returns the target's name of a schema of the source. */
  readonly schemaOnTarget: (schema: string) => string;
  /** The former names of renamed indexes and keys, by their present ones. Qualified and quoted, with the target's schemas. */
  readonly formerNames: ReadonlyMap<string, string>;
}

/**
 * Returns statements that give indexes and keys of partitions the source's names. The table and the parent's index identify
 * them: a partition that was created again has other OIDs, and names that the server chose.
 */
export async function renamePartitionIndexes(sides: IndexSides): Promise<string[]> {
  const { source, target, schemaOnTarget } = sides;
  const onTarget = await listIndexes(target);
  const copies = new Map(
    onTarget.flatMap((index) => (index.parent ? [[placeOf(index, nameOf(index.parent)), index]] : [])),
  );
  const nameOnTarget = new Map(sides.formerNames);
  const renamings: { readonly from: string; readonly to: string; readonly sql: string }[] = [];
  for (const { schema, name, table, parent } of await listIndexes(source)) {
    if (!parent) continue;
    const index = { schema: schemaOnTarget(schema), name, table };
    const parentNow = nameOf({ ...parent, schema: schemaOnTarget(parent.schema) });
    const copy = copies.get(placeOf(index, nameOnTarget.get(parentNow) ?? parentNow));
    if (!copy || copy.name === name) continue;
    const [from, to] = [nameOf(copy), nameOf(index)];
    nameOnTarget.set(to, from);
    renamings.push({ from, to, sql: `ALTER INDEX ${from} RENAME TO ${quoteIdentifier(name)}` });
  }
  return inOrder(renamings, new Set(onTarget.map(nameOf))).map(({ sql }) => sql);
}

/** An index waits until its name is free. Names that were exchanged stay: both sides have indexes with these names. */
function inOrder<Renaming extends { readonly from: string; readonly to: string }>(
  renamings: readonly Renaming[],
  taken: Set<string>,
): Renaming[] {
  const ordered: Renaming[] = [];
  for (
    let next: Renaming | undefined;
    (next = renamings.find((one) => !ordered.includes(one) && !taken.has(one.to)));
  ) {
    ordered.push(next);
    taken.delete(next.from);
    taken.add(next.to);
  }
  return ordered;
}

const nameOf = ({ schema, name }: Pick<Index, "schema" | "name">): string => qualify(schema, name);

const placeOf = ({ schema, table }: Pick<Index, "schema" | "table">, parent: string): string =>
  JSON.stringify([schema, table, parent]);

/** Indexes of partitioned tables first, so that a parent precedes its children. */
async function listIndexes(client: Client): Promise<Index[]> {
  // Earlier versions have no indexes on partitioned tables.
  if ((await serverVersion(client)) < 110000) return [];
  const { rows } = await client.query<Index>(
    `WITH RECURSIVE tree (oid, parent, depth) AS (
       SELECT x.indexrelid, 0::oid, 0 FROM pg_index x
        WHERE NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = x.indexrelid)
       UNION ALL SELECT h.inhrelid, h.inhparent, t.depth + 1 FROM tree t JOIN pg_inherits h ON h.inhparent = t.oid
     )
     SELECT n.nspname AS schema, i.relname AS name, c.relname AS table,
            CASE WHEN p.oid IS NOT NULL THEN json_build_object('schema', pn.nspname, 'name', p.relname) END AS parent
       FROM tree t JOIN pg_class i ON i.oid = t.oid JOIN pg_namespace n ON n.oid = i.relnamespace
       JOIN pg_index x ON x.indexrelid = i.oid JOIN pg_class c ON c.oid = x.indrelid
       LEFT JOIN pg_class p ON p.oid = t.parent LEFT JOIN pg_namespace pn ON pn.oid = p.relnamespace
      WHERE ${userSchemas("n")}
      ORDER BY t.depth, i.oid`,
  );
  return rows;
}
