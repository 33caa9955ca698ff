import type { Change } from "./change.js";

export interface ChangeCounts {
  readonly inserts: number;
  readonly updates: number;
  readonly deletes: number;
  readonly truncates: number;
}

export const noChanges: ChangeCounts = { inserts: 0, updates: 0, deletes: 0, truncates: 0 };

export function countOf(changes: readonly Change[]): ChangeCounts {
  const counts = { insert: 0, update: 0, delete: 0, truncate: 0 };
  for (const { kind } of changes) counts[kind]++;
  return { inserts: counts.insert, updates: counts.update, deletes: counts.delete, truncates: counts.truncate };
}

export const sum = (one: ChangeCounts, other: ChangeCounts): ChangeCounts => ({
  inserts: one.inserts + other.inserts,
  updates: one.updates + other.updates,
  deletes: one.deletes + other.deletes,
  truncates: one.truncates + other.truncates,
});
