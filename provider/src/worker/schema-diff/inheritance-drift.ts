import type { Client } from "pg";
import { qualify } from "../../postgres/identifiers.js";
import { inheritanceRules, inheritances, partitionRules } from "../../schema/catalogue/kinds/relations/inheritance.js";
import { readSchema, type SchemaObject } from "../../schema/catalogue/read-schema.js";
import { shortDigest } from "../../schema/catalogue/digests.js";
import type { SchemaChange } from "./schema-change.js";

/** A digest of each partition's bounds, by its OID. Plain JSON. */
export type Bounds = Readonly<Record<string, string>>;

export async function readBounds(source: Client): Promise<Bounds> {
  const partitions = (await listChildren(source)).filter(isPartition);
  return Object.fromEntries(partitions.map(({ oid, definition }) => [oid, shortDigest(definition!)]));
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
  /** The names of the tables at that time, qualified and quoted, by their OIDs. */
  readonly names: Readonly<Record<string, string>> | undefined;
}

export interface InheritanceDrift {
  /**
   * Statements that detach partitions and child tables which the source detached or gave other bounds. Other changes of these
   * tables can only be read and run afterwards.
   */
  readonly releases: readonly SchemaChange[];
  /** The tables that the releases detach, qualified and quoted. */
  readonly detached: ReadonlySet<string>;
  /** The parents of tables that inherit on both sides, without partitions. Qualified and quoted. */
  readonly parents: ReadonlyMap<string, readonly string[]>;
  /** Statements that make tables inherit. Partitions are attached with the other missing objects. */
  readonly changes: readonly SchemaChange[];
}

export async function readInheritanceDrift(sides: InheritanceSides): Promise<InheritanceDrift> {
  const { schemaOnTarget, hasTable, before, names } = sides;
  const onSource = new Map((await listChildren(sides.source)).map((child) => [keyOf(child, schemaOnTarget), child]));
  const onTarget = new Map((await listChildren(sides.target)).map((child) => [keyOf(child), child]));
  const detached = new Set<string>();
  const parents = new Map<string, string[]>();
  const releases = [...onTarget].flatMap(([key, child]): SchemaChange[] => {
    const [name, parent] = [qualify(child.schema, child.name), qualify(child.of!.schema, child.of!.name)];
    if (!hasTable(name) || !hasTable(parent)) return [];
    const sourceChild = onSource.get(key);
    // Versions may print the same bounds in two ways. A partition that took the name of another one has other bounds than its copy.
    const isMoved =
      sourceChild &&
      sourceChild.definition !== child.definition &&
      before &&
      (before[sourceChild.oid] !== shortDigest(sourceChild.definition!) ||
        (names && names[sourceChild.oid] !== qualify(sourceChild.schema, sourceChild.name)));
    if (sourceChild && !isMoved) {
      if (!isPartition(child)) parents.set(name, [...(parents.get(name) ?? []), parent]);
      return [];
    }
    detached.add(name);
    return [
      isPartition(child)
        ? {
            ...{ rule: partitionRules.detached, tables: [name] },
            sql: `ALTER TABLE ${parent} DETACH PARTITION ${name}`,
          }
        : { rule: inheritanceRules.removed, tables: [name], sql: `ALTER TABLE ${name} NO INHERIT ${parent}` },
    ];
  });
  const changes = [...onSource].flatMap(([key, child]): SchemaChange[] => {
    const [heir, parent] = [child, child.of!].map(({ schema, name }) => qualify(schemaOnTarget(schema), name));
    const isWanted = !isPartition(child) && !onTarget.has(key) && hasTable(heir!) && hasTable(parent!);
    if (!isWanted) return [];
    return [{ rule: inheritanceRules.added, tables: [heir!], sql: `ALTER TABLE ${heir!} INHERIT ${parent!}` }];
  });
  return { releases, detached, parents, changes };
}

const isPartition = ({ kind }: SchemaObject): boolean => kind === "partition";

const keyOf = ({ schema, name, of }: SchemaObject, schemaOnTarget = (one: string): string => one): string =>
  JSON.stringify([schemaOnTarget(schema), name, schemaOnTarget(of!.schema), of!.name]);

const listChildren = (client: Client): Promise<SchemaObject[]> => readSchema(client, [inheritances], "text");
