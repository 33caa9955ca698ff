/** What the worker does about a change of the source's schema while it follows the source. */
export type ChangeAction = keyof typeof actionMeanings;

/** The text of each action in docs/schema-changes.md. */
export const actionMeanings = {
  before: "The worker applies it at once. The target then accepts the rows of both definitions.",
  at: "The worker applies all earlier rows, then the statement, then the later rows.",
  after: "The worker applies it when all earlier rows are applied. The stream does not wait for it.",
  copy: "The worker copies the table under a new snapshot. Its stream starts there.",
  cutover: "The worker applies it at the cutover.",
  keep: "The target keeps the object, and a finding names it after the cutover.",
  pause: "The stream of the database pauses until you have run the statement that the worker shows.",
} as const;

/** One line of the rule table. */
export interface ChangeRule {
  /** `table`, `unique index`, as in PostgreSQL's commands. */
  readonly kind: string;
  /** What happened to the object on the source: `renamed`. */
  readonly change: string;
  readonly action: ChangeAction;
  readonly reason: string;
  /** If the target refuses the statement: a pause or a refused cutover with the statement, or only a finding. */
  readonly ifRefused?: "pause" | "finding";
}

/** All rules of one kind of object, by the change. */
export type ChangeRules<Change extends string = string> = Readonly<Record<Change, ChangeRule>>;

/**
 * @example
 * const schemaRules = rulesOf("schema", { renamed: { action: "at", reason: "Later rows name the new schema." } });
 */
export const rulesOf = <Change extends string>(
  kind: string,
  rules: Readonly<Record<Change, Omit<ChangeRule, "kind" | "change"> & { readonly change?: string }>>,
): ChangeRules<Change> =>
  Object.fromEntries(
    Object.entries<Omit<ChangeRule, "kind" | "change">>(rules).map(([change, rule]) => [
      change,
      { kind, change, ...rule },
    ]),
  ) as ChangeRules<Change>;

type Generic = "created" | "changed" | "renamed" | "dropped";

/** Rules of triggers, rules and policies, which no other object can need. */
export const relationPartRules = (kind: string): ChangeRules<Generic> =>
  rulesOf(kind, {
    ...restoredRules(kind, { ifRefused: "pause" }),
    renamed: { action: "after", reason: "The worker drops it, and creates it under its new name." },
    dropped: { action: "before", reason: "No row depends on it.", ifRefused: "finding" },
  });

/** If the target refuses it, the object is created under its new name, and the former one is kept. */
export const renamedOrMoved = {
  change: "renamed or moved",
  action: "before",
  reason: "The stream does not name it.",
  ifRefused: "finding",
} as const;

/**
 * Rules of a kind of object that the worker restores from a dump of the source.
 *
 * @param neededBy `columns` may need the object, so that it is created before they are added
 */
export const restoredRules = (
  kind: string,
  { neededBy = "none", ifRefused = "finding" }: { neededBy?: "columns" | "none"; ifRefused?: "pause" | "finding" } = {},
): ChangeRules<Generic> =>
  rulesOf(kind, {
    created:
      neededBy === "columns"
        ? { action: "before", reason: "New columns and tables may need it." }
        : { action: "after", reason: "No row depends on it." },
    changed: { action: "cutover", reason: "No row depends on its definition.", ifRefused },
    renamed: renamedOrMoved,
    dropped: { action: "keep", reason: "Objects that only the target has may use it." },
  });
