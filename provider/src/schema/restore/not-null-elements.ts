import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import { follows, identifierName } from "../sql/tokenize.js";
import { type Statement, parseStatement, relationAt } from "../sql/statements.js";
import { createdRelationAt, elementsOf, withoutElements } from "../plan/table-elements.js";

/**
 * Converts elements `NOT NULL column` of CREATE TABLE to ALTER TABLE for targets before 18. The pg_dump of 18 writes
 * them for inherited columns of a child table:
 *
 * `CREATE TABLE public.child ( NOT NULL id, extra integer ) INHERITS (public.parent)` (manual of 18, CREATE TABLE,
 * table_constraint).
 */
export function withoutNotNullElements(statement: Statement): Statement[] {
  const at = createdRelationAt(statement);
  const relation = at === undefined ? undefined : relationAt(statement, at);
  if (!relation) return [statement];
  const notNull = elementsOf(statement).filter(({ tokens }) => follows(tokens, 0, "NOT", "NULL"));
  if (notNull.length === 0) return [statement];
  const alters = notNull.map(({ tokens }) => {
    const column = quoteIdentifier(identifierName(tokens[2]!));
    return `ALTER TABLE ONLY ${qualify(relation.schema, relation.name)} ALTER COLUMN ${column} SET NOT NULL`;
  });
  return [withoutElements(statement, notNull), ...alters].map(parseStatement);
}
