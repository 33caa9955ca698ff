/** SQL condition: an object of the catalogue does not belong to an extension. */
export const notExtensionMember = (catalogue: string, oid: string): string =>
  `NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '${catalogue}'::regclass AND d.objid = ${oid} AND d.deptype = 'e')`;

/**
 * SQL condition: a schema is neither PostgreSQL's own nor temporary.
 *
 * @param alias the alias of pg_namespace
 */
export const userSchemas = (alias: string): string =>
  `${alias}.nspname !~ '^pg_' AND ${alias}.nspname <> 'information_schema'`;
