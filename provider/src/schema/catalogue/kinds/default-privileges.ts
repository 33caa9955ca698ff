import type { Kind } from "../kind.js";
import { listedPrivileges } from "../privileges.js";

const objectTypes =
  "CASE o.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END";

/** What ALTER DEFAULT PRIVILEGES has set. */
export const defaultPrivileges: Kind = () => ({
  catalogue: "pg_default_acl",
  from: "pg_default_acl o LEFT JOIN users_schema n ON n.oid = o.defaclnamespace",
  schema: "coalesce(n.name, '')",
  name: "pg_get_userbyid(o.defaclrole)",
  kind: "'default privileges'",
  where: "(o.defaclnamespace = 0 OR n.oid IS NOT NULL)",
  identity: `concat_ws(' ', 'FOR ROLE', quote_ident(pg_get_userbyid(o.defaclrole)), 'IN SCHEMA ' || n.identity, 'ON', ${objectTypes})`,
  owner: "o.defaclrole",
  settings: { privileges: listedPrivileges("o.defaclacl", "o.defaclrole") },
});
