/** Something that was restored otherwise than it is on the source, or not at all. */
export interface RestoreFinding {
  /** The object, or the first few and the number of the others. */
  readonly object: string;
  /** pg_dump's word for its kind, or `OBJECT` for several of different kinds. */
  readonly objectType: string;
  readonly message: string;
  readonly remedy?: string;
  /** `failed`: the object is not there. `warning`: it is, but not quite as on the source. */
  readonly severity: "warning" | "failed";
}

const namedAtMost = 5;

/** One finding for all objects of which the same is to be said: a missing role can concern thousands. */
export function summarize(findings: readonly RestoreFinding[]): RestoreFinding[] {
  const groups = new Map<string, RestoreFinding[]>();
  for (const finding of findings) {
    const key = JSON.stringify([finding.message, finding.remedy, finding.severity]);
    const group = groups.get(key);
    if (group) group.push(finding);
    else groups.set(key, [finding]);
  }
  return [...groups.values()].map(merge);
}

function merge(group: readonly RestoreFinding[]): RestoreFinding {
  const names = [...new Set(group.map(({ object }) => object))];
  const others = names.length - namedAtMost;
  const types = new Set(group.map(({ objectType }) => objectType));
  return {
    ...group[0]!,
    object: names.slice(0, namedAtMost).join(", ") + (others > 0 ? ` and ${others} more` : ""),
    objectType: types.size === 1 ? group[0]!.objectType : "OBJECT",
  };
}
