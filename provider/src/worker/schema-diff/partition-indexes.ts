import type { Client } from "pg";
import { qualify, quoteIdentifier, type RelationName } from "../../postgres/identifiers.js";
import { type IndexDetails, indexes, indexRules } from "../../schema/catalogue/kinds/relations/indexes.js";
import { readSchema, type SchemaObject } from "../../schema/catalogue/read-schema.js";
import type { SchemaChange } from "./schema-change.js";

type Index = SchemaObject<IndexDetails>;

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
export async function renamePartitionIndexes(sides: IndexSides): Promise<SchemaChange[]> {
  const { source, target, schemaOnTarget } = sides;
  const onTarget = await listIndexes(target);
  const copies = new Map(
    onTarget.flatMap((index) => {
      const { parent } = index.details;
      return parent ? [[placeOf(index.schema, index, nameOf(parent)), index]] : [];
    }),
  );
  const nameOnTarget = new Map(sides.formerNames);
  const renamings: { readonly from: string; readonly to: string; readonly sql: string }[] = [];
  for (const index of parentsFirst(await listIndexes(source))) {
    const { name, details } = index;
    if (!details.parent) continue;
    const schema = schemaOnTarget(index.schema);
    const parentNow = nameOf({ ...details.parent, schema: schemaOnTarget(details.parent.schema) });
    const copy = copies.get(placeOf(schema, index, nameOnTarget.get(parentNow) ?? parentNow));
    if (!copy || copy.name === name) continue;
    const [from, to] = [nameOf(copy), nameOf({ schema, name })];
    nameOnTarget.set(to, from);
    renamings.push({ from, to, sql: `ALTER INDEX ${from} RENAME TO ${quoteIdentifier(name)}` });
  }
  return inOrder(renamings, new Set(onTarget.map(nameOf))).map(({ sql }) => ({
    ...{ rule: indexRules.renamed, sql, tables: [] },
  }));
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

const nameOf = ({ schema, name }: RelationName): string => qualify(schema, name);

const placeOf = (schema: string, { of }: Index, parent: string): string => JSON.stringify([schema, of!.name, parent]);

const listIndexes = (client: Client): Promise<Index[]> => readSchema(client, [indexes], "details");

function parentsFirst(all: readonly Index[]): Index[] {
  const parents = new Map(all.map((index) => [nameOf(index), index.details.parent]));
  const depth = (parent: RelationName | null | undefined): number =>
    parent ? 1 + depth(parents.get(nameOf(parent))) : 0;
  return all.toSorted((one, other) => depth(one.details.parent) - depth(other.details.parent));
}
