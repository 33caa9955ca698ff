import { type Kind, sorted } from "../kind.js";
import { privilegesOf } from "../privileges.js";

/** The database itself. A dump of its schema does not contain it. */
export const database: Kind = () => ({
  catalogue: "pg_database",
  from: "pg_database o",
  schema: "''",
  // Source and target may have different names.
  name: "'database'",
  kind: "'properties of the'",
  identity: "'database'",
  where: "o.datname = current_database()",
  settings: {
    comment: "shobj_description(o.oid, 'pg_database')",
    privileges: privilegesOf(["o.datacl", "d"], "o.datdba"),
    // This setting fences the source.
    settings: sorted(`ARRAY(
      SELECT format('%s: SET %s', coalesce(r.rolname, 'PUBLIC'), one)
        FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS one LEFT JOIN pg_roles r ON r.oid = s.setrole
       WHERE s.setdatabase = o.oid AND one NOT LIKE 'default_transaction_read_only=%')`),
  },
});
