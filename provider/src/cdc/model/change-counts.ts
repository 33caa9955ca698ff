import type { Change, Relation } from "./change.js";

export interface ChangeCounts {
  readonly inserts: number;
  readonly updates: number;
  readonly deletes: number;
  readonly truncates: number;
}

/** The changes of one table, under its name at that time. */
export interface TableChanges extends ChangeCounts {
  readonly schema: string;
  readonly table: string;
}

/** Changes of a batch, together and by table. A truncation of several tables counts once, and once for each table. */
export interface BatchCounts {
  readonly all: ChangeCounts;
  readonly tables: TableCounts;
}

/** By {@link tableKey}. */
export type TableCounts = ReadonlyMap<string, TableChanges>;

export const noChanges: ChangeCounts = { inserts: 0, updates: 0, deletes: 0, truncates: 0 };

export const emptyBatch: BatchCounts = { all: noChanges, tables: new Map() };

type Tally = { -readonly [Kind in keyof ChangeCounts]: number };

const counters = { insert: "inserts", update: "updates", delete: "deletes", truncate: "truncates" } as const;

/** @param lists the changes of each segment */
export function countOf(lists: readonly (readonly Change[])[]): BatchCounts {
  const all: Tally = { ...noChanges };
  const byRelation = new Map<Relation, Tally>();
  const add = (relation: Relation, counter: keyof ChangeCounts): void => {
    let tally = byRelation.get(relation);
    if (!tally) byRelation.set(relation, (tally = { ...noChanges }));
    tally[counter]++;
  };
  for (const changes of lists)
    for (const change of changes) {
      const counter = counters[change.kind];
      all[counter]++;
      if (change.kind !== "truncate") add(change.relation, counter);
      else for (const relation of change.relations) add(relation, counter);
    }
  const tables = new Map<string, TableChanges>();
  for (const [{ schema, name: table }, tally] of byRelation) addTable(tables, { schema, table, ...tally });
  return { all, tables };
}

export const sum = (one: ChangeCounts, other: ChangeCounts): ChangeCounts => ({
  inserts: one.inserts + other.inserts,
  updates: one.updates + other.updates,
  deletes: one.deletes + other.deletes,
  truncates: one.truncates + other.truncates,
});

export function sumBatches(one: BatchCounts, other: BatchCounts): BatchCounts {
  if (one.tables.size === 0) return other;
  const tables = new Map(one.tables);
  for (const table of other.tables.values()) addTable(tables, table);
  return { all: sum(one.all, other.all), tables };
}

/** Adds the changes of a table to those that a map already has. */
export function addTable(tables: Map<string, TableChanges>, { schema, table, ...counts }: TableChanges): void {
  const key = tableKey(schema, table);
  tables.set(key, { schema, table, ...sum(tables.get(key) ?? noChanges, counts) });
}

const tableKey = (schema: string, table: string): string => JSON.stringify([schema, table]);
