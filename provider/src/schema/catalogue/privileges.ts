/**
 * SQL: the privileges that an object has in addition to the defaults of its kind, and with `not` those that it lacks:
 * `reader: SELECT`, `not PUBLIC: EXECUTE`. A `*` follows a privilege that may be granted, and the grantor unless that is the owner.
 *
 * @param acl and the letter that acldefault() has for the kind
 */
export const privilegesOf = ([acl, letter]: readonly [acl: string, letter: string], owner: string): string =>
  `CASE WHEN ${acl} IS NOT NULL THEN ${changedSince(acl, `acldefault('${letter}', ${owner})`, owner)} END`;

/** SQL: the privileges that were added or, with `not`, removed since another list. */
export const changedSince = (acl: string, before: string, owner: string): string => `ARRAY(
  (SELECT one FROM ${entries(acl, owner)} EXCEPT SELECT one FROM ${entries(before, owner)})
  UNION ALL (SELECT 'not ' || one FROM (SELECT one FROM ${entries(before, owner)} EXCEPT SELECT one FROM ${entries(acl, owner)}) AS lost)
  ORDER BY 1)`;

/** SQL: all privileges of a list. */
export const listedPrivileges = (acl: string, owner: string): string =>
  `ARRAY(SELECT one FROM ${entries(acl, owner)} ORDER BY 1)`;

/** The owner has no name in it, because it may have another one on another server. */
const entries = (acl: string, owner: string): string => `(
  SELECT format('%s: %s%s%s', CASE e.grantee WHEN ${owner} THEN '(owner)' WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(e.grantee) END,
         e.privilege_type, CASE WHEN e.is_grantable THEN '*' END, CASE WHEN e.grantor <> ${owner} THEN ' by ' || pg_get_userbyid(e.grantor) END) AS one
    FROM aclexplode(${acl}) AS e) AS entries`;

/** SQL: the security labels of an object. @param described condition for rows `d` with the columns of pg_description */
export const labelsOf = (described: string): string =>
  `(SELECT string_agg(d.provider || ' ' || d.label, ', ' ORDER BY d.provider) FROM pg_seclabel d WHERE ${described})`;
