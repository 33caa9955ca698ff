import { relationKey } from "../../postgres/identifiers.js";
import { firstRelation, grantedRelation, splitStatements } from "../sql/statements.js";
import type { Entry } from "../sql/toc-entries.js";
import { follows, tokenize } from "../sql/tokenize.js";

/**
 * Marks the privileges on views, materialized views and relations with rules. Each role with such a privilege reads or writes
 * with the privileges of the relation's owner. They must not be those of the restoring role.
 *
 * @param isTrusted whether views and rules of an owner may run with these privileges
 */
export function withNeededOwners(entries: readonly Entry[], isTrusted: (owner: string) => boolean): Entry[] {
  const [queries, withActions] = [new Map<string, Entry>(), new Set<string>()];
  for (const entry of entries) {
    if (entry.type !== "RULE" && !/VIEW$/.test(entry.type)) continue;
    const named = firstRelation({ tokens: tokenize(entry.sql, 20) });
    if (!named) continue;
    const relation = relationKey(named);
    // A view that needs a key is created with its columns only, and gets its query and options after the key, as a rule.
    if (entry.type !== "RULE" || isViewsQuery(entry)) queries.set(relation, entry);
    // Actions also run as the owner of a security_invoker view.
    else withActions.add(relation);
  }
  const needOf = (relation: string): Entry["needsOwner"] => {
    if (withActions.has(relation)) return true;
    const query = queries.get(relation);
    return query && (isInvokersView(query) ? "before15" : true);
  };
  return entries.map((entry) => {
    if (entry.type !== "ACL" || entry.owner === undefined || isTrusted(entry.owner)) return entry;
    const relation = splitStatements(entry.sql)
      .map(grantedRelation)
      .find((one) => one !== undefined);
    const needsOwner = relation && needOf(relationKey(relation));
    return needsOwner === undefined ? entry : { ...entry, needsOwner };
  });
}

const isViewsQuery = ({ sql }: Entry): boolean => /^\s*CREATE (OR REPLACE )?VIEW\b/.test(sql);

/** Whether `CREATE [OR REPLACE] VIEW x.y WITH (...)` has the option security_invoker. */
function isInvokersView({ sql }: Entry): boolean {
  if (!sql.includes("security_invoker")) return false;
  const tokens = splitStatements(sql)[0]?.tokens ?? [];
  const view = tokens.findIndex((_, index) => index < 4 && follows(tokens, index, "VIEW"));
  if (view < 0 || !follows(tokens, view + 4, "WITH", "(")) return false;
  const end = tokens.findIndex(({ text }, index) => index > view + 4 && text === ")");
  const at = tokens.findIndex((_, index) => index < end && follows(tokens, index, "SECURITY_INVOKER", "="));
  return at > 0 && /^'?(t|tr|tru|true|y|ye|yes|on|1)'?$/i.test(tokens[at + 2]!.text);
}
