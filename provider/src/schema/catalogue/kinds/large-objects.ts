import { type Kind, sorted } from "../kind.js";

/** All large objects as one object, because a database may have millions. Digests identify their OIDs. */
export const largeObjects: Kind = () => ({
  catalogue: "pg_largeobject",
  oid: "0",
  from: "(SELECT 1) o",
  schema: "''",
  name: "'large objects'",
  kind: "'large objects'",
  identity: "'of the database'",
  where: "EXISTS (SELECT FROM pg_largeobject_metadata)",
  settings: {
    owners: sorted(`ARRAY(
      SELECT format('%s: OWNER of %s (%s)', pg_get_userbyid(lomowner), count(*), ${digestOf("m.oid::text")})
        FROM pg_largeobject_metadata m GROUP BY lomowner)`),
    privileges: sorted(`ARRAY(
      SELECT format('%s: %s on %s (%s)', CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(e.grantee) END, e.privilege_type, count(*),
             ${digestOf("concat_ws(' ', m.oid, e.is_grantable)")})
        FROM pg_largeobject_metadata m CROSS JOIN LATERAL aclexplode(lomacl) AS e WHERE e.grantee <> lomowner
       GROUP BY e.grantee, e.privilege_type)`),
    comments: `(SELECT ${digestOf("concat_ws(' ', objoid, description)")} FROM pg_description WHERE classoid = 'pg_largeobject'::regclass)::text`,
  },
});

const digestOf = (text: string): string => `to_hex(sum(hashtext(${text}))::int8)`;
