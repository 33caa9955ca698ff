import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import { follows, identifierName } from "../sql/tokenize.js";
import { type Statement, parseStatement, relationAt } from "../sql/statements.js";
import { createdRelationAt, elementsOf, withoutElements } from "../plan/table-elements.js";

/**
 * The pg_dump of 18 writes what a child table has of its own on an inherited column as an element of its list:
 * `CREATE TABLE public.child ( NOT NULL id, extra integer ) INHERITS (public.parent)`. Servers before 18 have no such
 * element (manual of 18, CREATE TABLE, table_constraint): there, the column is altered once the table is made.
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
