/**
 * SQL: the functions that an expression or a query calls directly, including those of its operators and aggregates. They
 * are read from the stored tree (pg_node_tree), because dependencies omit PostgreSQL's own functions.
 */
export const calledBy = (tree: string): string =>
  `(SELECT DISTINCT m[1]::oid AS oid
      FROM regexp_matches(${tree}::text, ':(?:funcid|opfuncid|elemfuncid|aggfnoid|winfnoid) (\\d+)', 'g') AS m) AS called`;

/** SQL condition: the tree calls a function that is not PostgreSQL's own. */
export const callsUsers = (tree: string): string => `EXISTS (SELECT FROM ${calledBy(tree)} WHERE called.oid >= 16384)`;

/**
 * SQL condition: a function of PostgreSQL that reads the key of the partitioned table in its argument. The server then
 * evaluates the constant parts of the key's expressions, which may call functions of users.
 */
export const readsPartitionKey = (name: string): string =>
  `${name} IN ('satisfies_hash_partition', 'pg_get_partition_constraintdef')`;

/**
 * SQL condition: the tree calls a function with a body written by a user, or one that may call such a function. PostgreSQL's own
 * functions and those in C have no such body.
 */
export const callsWritten = (tree: string): string =>
  `(${tree} IS NOT NULL AND EXISTS (
      SELECT FROM ${calledBy(tree)} JOIN pg_proc p ON p.oid = called.oid JOIN pg_language l ON l.oid = p.prolang
       WHERE p.oid >= 16384 AND l.lanname NOT IN ('internal', 'c') OR ${readsPartitionKey("p.proname")}))`;
