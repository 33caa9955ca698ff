import type { Entry } from "../sql/toc-entries.js";
import { relatedEntries } from "../restore/parallel-groups.js";

/** Kinds whose statements contain everything that they need. */
const comparable: ReadonlySet<string> = new Set([
  ...["ACL", "COMMENT", "CONSTRAINT", "DEFAULT", "FK CONSTRAINT", "INDEX", "SEQUENCE", "SEQUENCE OWNED BY"],
  ...["STATISTICS", "TABLE", "VIEW"],
]);

/**
 * Whether {@link entriesOfEachForm} may have left out objects like this one.
 *
 * @param description its kind and name: `TABLE public.t`. `OBJECT` means several of different kinds
 */
export const mayBeOneOfMany = (description: string): boolean =>
  ["OBJECT", ...comparable].some((kind) => description.startsWith(`${kind} `));

/**
 * Leaves out tables that differ from an earlier table only in names, such as those of further tenants. Tables that mention each
 * other are compared together, with their indexes, constraints and sequences. Objects of other kinds, and the tables that
 * they mention, all stay.
 *
 * A target that accepts the result mostly accepts all entries. It may refuse only a name. If it refuses an entry, it may be because
 * it needs a table that was left out.
 */
export function entriesOfEachForm(entries: readonly Entry[]): Entry[] {
  const forms = new Set<string>();
  const omitted = new Set<Entry>();
  for (const related of relatedEntries(entries)) {
    if (!related.some(({ type }) => type === "TABLE") || !related.every(({ type }) => comparable.has(type))) continue;
    const form = formOf(related);
    if (forms.has(form)) for (const entry of related) omitted.add(entry);
    else forms.add(form);
  }
  return entries.filter((entry) => !omitted.has(entry));
}

/** The definitions with numbers instead of the names that they create. */
function formOf(entries: readonly Entry[]): string {
  const names = new Map<string, string>();
  for (const { sql } of entries)
    for (const [, ...parts] of sql.matchAll(createdName))
      for (const name of parts as (string | undefined)[])
        if (name !== undefined && !names.has(name)) names.set(name, `\0${names.size}\0`);
  return entries
    .map(({ type, owner, tablespace, accessMethod, sql }) => {
      const text = type === "COMMENT" ? sql.slice(0, sql.indexOf(" IS ")) : sql;
      const named = text.replace(identifier, (name) => names.get(name) ?? name);
      return JSON.stringify([type, owner, tablespace, accessMethod, named]);
    })
    .join("\n");
}

const word = String.raw`(?:"(?:[^"]|"")+"|[\w$\u0080-\uffff]+)`;
const identifier = new RegExp(word, "g");

/** The name of a relation with its schema, of a constraint, and of an index. */
const createdName = new RegExp(
  String.raw`\bCREATE (?:UNLOGGED )?(?:TABLE|SEQUENCE|STATISTICS|VIEW) (${word})\.(${word})|\bCONSTRAINT (${word})|\bCREATE (?:UNIQUE )?INDEX (${word})`,
  "g",
);
