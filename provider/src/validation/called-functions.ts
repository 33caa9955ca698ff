/**
 * SQL: the functions that an expression or a query calls by itself, by way of its operators and aggregates as well, from the
 * tree (pg_node_tree) that the catalogue keeps: dependencies do not name PostgreSQL's own.
 */
export const calledBy = (tree: string): string =>
  `(SELECT DISTINCT m[1]::oid AS oid
      FROM regexp_matches(${tree}::text, ':(?:funcid|opfuncid|elemfuncid|aggfnoid|winfnoid) (\\d+)', 'g') AS m) AS called`;

/** An SQL condition: it calls a function that is not PostgreSQL's own. */
export const callsUsers = (tree: string): string => `EXISTS (SELECT FROM ${calledBy(tree)} WHERE called.oid >= 16384)`;

/** An SQL condition: it calls one that somebody may have replaced since: neither PostgreSQL's own nor in C. */
export const callsWritten = (tree: string): string =>
  `EXISTS (SELECT FROM ${calledBy(tree)} JOIN pg_proc p ON p.oid = called.oid JOIN pg_language l ON l.oid = p.prolang
            WHERE p.oid >= 16384 AND l.lanname NOT IN ('internal', 'c'))`;
