import { tablesMarkedBy } from "../../cdc/source/replica-identity.js";
import { qualify } from "../../postgres/identifiers.js";
import type { Entry } from "../sql/toc-entries.js";
import { isOwnPublication } from "./restore-plan.js";
import { follows } from "../sql/tokenize.js";
import { type Statement, relationAt, splitStatements } from "../sql/statements.js";

/**
 * Restores the replica identities that tables had before a migration. REPLICA IDENTITY FULL was set on the source only
 * for the duration of the stream, and nothing would reset it on the target.
 *
 * @param entries all entries of a dump, with the publications whose comments list the changed identities
 */
export function withoutTemporaryReplicaIdentities(entries: readonly Entry[]): Entry[] {
  const temporary = new Map(entries.flatMap((entry) => Object.entries(temporaryIdentitiesOf(entry))));
  if (temporary.size === 0) return [...entries];
  const fitted = (statement: Statement): string[] => {
    const table = fullIdentityOf(statement);
    const former = table === undefined ? undefined : temporary.get(table);
    if (former === undefined) return [`${statement.text};`];
    return former === "DEFAULT" ? [] : [`${statement.text.slice(0, -"FULL".length)}${former};`];
  };
  return entries.map((entry) => {
    if (entry.type !== "TABLE" || !entry.sql.includes(" REPLICA IDENTITY FULL")) return entry;
    return { ...entry, sql: splitStatements(entry.sql).flatMap(fitted).join("\n\n") };
  });
}

function temporaryIdentitiesOf(entry: Entry): ReturnType<typeof tablesMarkedBy> {
  if (entry.type !== "COMMENT" || !isOwnPublication(entry)) return {};
  const text = splitStatements(entry.sql)[0]?.tokens.at(-1)?.text ?? "";
  return tablesMarkedBy(text.slice(1, -1).replaceAll("''", "'"));
}

/** The table of `ALTER TABLE ONLY x.y REPLICA IDENTITY FULL`, qualified and quoted. */
function fullIdentityOf(statement: Statement): string | undefined {
  const { tokens } = statement;
  const isIt =
    follows(tokens, 0, "ALTER", "TABLE", "ONLY") && follows(tokens, tokens.length - 3, "REPLICA", "IDENTITY", "FULL");
  const table = isIt ? relationAt(statement, 3) : undefined;
  return table && qualify(table.schema, table.name);
}
