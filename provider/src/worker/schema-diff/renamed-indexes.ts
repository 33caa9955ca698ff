import type { Client } from "pg";
import { qualify, quoteIdentifier, type RelationName, temporaryName } from "../../postgres/identifiers.js";
import { type IndexDetails, indexes, indexRules } from "../../schema/catalogue/kinds/relations/indexes.js";
import { readSchema, type SchemaObject } from "../../schema/catalogue/read-schema.js";
import { inOrder } from "./followed-parts.js";
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

/** Gives an index or a key the source's name. */
export interface IndexRenaming {
  /** On the target. */
  readonly schema: string;
  readonly from: string;
  readonly to: string;
  /** The statement for these names. */
  readonly rename: (from: string, to: string) => SchemaChange;
}

/**
 * The renamings of indexes and keys of partitions. The table and the parent's index identify them: a partition that was created
 * again has other OIDs, and names that the server chose.
 */
export async function renamedPartitionIndexes(sides: IndexSides): Promise<IndexRenaming[]> {
  const { source, target, schemaOnTarget } = sides;
  const copies = new Map(
    (await listIndexes(target)).flatMap((index) => {
      const { parent } = index.details;
      return parent ? [[placeOf(index.schema, index, nameOf(parent)), index]] : [];
    }),
  );
  const nameOnTarget = new Map(sides.formerNames);
  const renamings: IndexRenaming[] = [];
  for (const index of parentsFirst(await listIndexes(source))) {
    const { name, details } = index;
    if (!details.parent) continue;
    const schema = schemaOnTarget(index.schema);
    const parentNow = nameOf({ ...details.parent, schema: schemaOnTarget(details.parent.schema) });
    const copy = copies.get(placeOf(schema, index, nameOnTarget.get(parentNow) ?? parentNow));
    if (!copy || copy.name === name) continue;
    nameOnTarget.set(nameOf({ schema, name }), nameOf(copy));
    const rename = (from: string, to: string): SchemaChange => ({
      ...{ rule: indexRules.renamed, tables: [] },
      sql: `ALTER INDEX ${qualify(schema, from)} RENAME TO ${quoteIdentifier(to)}`,
    });
    renamings.push({ schema, from: copy.name, to: name, rename });
  }
  return renamings;
}

/** Orders renamings so that no name is used twice. An index waits for a later comparison while another one keeps its name. */
export async function renameIndexes(target: Client, renamings: readonly IndexRenaming[]): Promise<SchemaChange[]> {
  if (renamings.length === 0) return [];
  const taken = new Set((await listIndexes(target)).map(nameOf));
  const placeOfName = ({ schema }: IndexRenaming, name: string): string => qualify(schema, name);
  const waiting = new Map(renamings.map((one) => [placeOfName(one, one.from), { one, from: one.from }]));
  for (let size = -1; size !== waiting.size;) {
    size = waiting.size;
    for (const [place, { one }] of waiting) {
      const to = placeOfName(one, one.to);
      if (taken.has(to) && !waiting.has(to)) waiting.delete(place);
    }
  }
  const changes: SchemaChange[] = [];
  inOrder(
    [...waiting].map(([place, { one }]) => [place, placeOfName(one, one.to)]),
    (place, destination) => {
      const { one, from } = waiting.get(place)!;
      const isAside = destination !== placeOfName(one, one.to);
      const to = isAside ? temporaryName(from) : one.to;
      if (isAside) waiting.set(destination, { one, from: to });
      changes.push(one.rename(from, to));
      return place;
    },
  );
  return changes;
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
