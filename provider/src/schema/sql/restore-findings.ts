import type { Problem } from "../../findings.js";
import { enumerate } from "../../units/enumerate.js";

/** An object that differs from the source after the restore (`Warning`), or that is missing (`Failed`). */
export interface RestoreFinding extends Pick<Problem, "code" | "message" | "remedy" | "state"> {
  /** The object, or the first few and the number of the others. */
  readonly object: string;
  /** pg_dump's word for its kind, or `OBJECT` for several of different kinds. */
  readonly objectType: string;
}

/** Combines findings with the same message: a missing role can concern thousands of objects. */
export function summarize(findings: readonly RestoreFinding[]): RestoreFinding[] {
  const groups = new Map<string, RestoreFinding[]>();
  for (const finding of findings) {
    const key = JSON.stringify([finding.code, finding.message, finding.remedy, finding.state]);
    const group = groups.get(key);
    if (group) group.push(finding);
    else groups.set(key, [finding]);
  }
  return [...groups.values()].map(merge);
}

function merge(group: readonly RestoreFinding[]): RestoreFinding {
  const types = new Set(group.map(({ objectType }) => objectType));
  return {
    ...group[0]!,
    object: enumerate([...new Set(group.map(({ object }) => object))]),
    objectType: types.size === 1 ? group[0]!.objectType : "OBJECT",
  };
}
