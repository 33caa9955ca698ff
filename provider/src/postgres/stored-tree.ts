/**
 * SQL: a stored expression or query (pg_node_tree) without its positions in the statement and the names of the columns that a table
 * had at that time. It identifies objects by OIDs and columns by numbers, so it can only be compared on one server.
 *
 * @param own OID of the relation that the tree belongs to. It is left out, because another relation may be created the same way.
 */
export function storedTree(tree: string, own?: string): string {
  const stored = `regexp_replace(${tree}::text, ':(?:location|stmt_location|stmt_len) -?\\d+|:colnames \\([^)]*\\)', '', 'g')`;
  return own === undefined ? stored : `replace(${stored}, ':relid ' || ${own} || ' ', '')`;
}
