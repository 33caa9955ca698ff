import type { Client } from "pg";
import { quoteIdentifier, quoteLiteral } from "../../postgres/identifiers.js";
import type { Entry } from "../sql/toc-entries.js";

const ownersPerEntry = 500;

/**
 * Comments, privileges and owners of the source's large objects, which pg_dump writes only with their data. In an order
 * that the role that created the objects can execute.
 */
export async function largeObjectEntries(source: Client): Promise<Entry[]> {
  return [...(await comments(source)), ...(await privileges(source)), ...(await owners(source))];
}

async function comments(source: Client): Promise<Entry[]> {
  const { rows } = await source.query<{ oid: string; comment: string }>(
    `SELECT l.oid::text AS oid, obj_description(l.oid, 'pg_largeobject') AS comment FROM pg_largeobject_metadata l
      WHERE obj_description(l.oid, 'pg_largeobject') IS NOT NULL ORDER BY l.oid`,
  );
  return rows.map(({ oid, comment }) =>
    entry("COMMENT", `LARGE OBJECT ${oid}`, `COMMENT ON LARGE OBJECT ${oid} IS ${quoteLiteral(comment)};`),
  );
}

async function privileges(source: Client): Promise<Entry[]> {
  const { rows } = await source.query<{ oid: string; privilege: string; grantee: string | null; option: boolean }>(
    `SELECT l.oid::text AS oid, a.privilege_type AS privilege, r.rolname AS grantee, a.is_grantable AS option
       FROM pg_largeobject_metadata l CROSS JOIN LATERAL aclexplode(l.lomacl) AS a
       LEFT JOIN pg_roles r ON r.oid = a.grantee
      WHERE a.grantee <> l.lomowner ORDER BY l.oid, grantee, privilege`,
  );
  return rows.map(({ oid, privilege, grantee, option }) => {
    const to = grantee === null ? "PUBLIC" : quoteIdentifier(grantee);
    const grant = `GRANT ${privilege} ON LARGE OBJECT ${oid} TO ${to}${option ? " WITH GRANT OPTION" : ""};`;
    return entry("ACL", `LARGE OBJECT ${oid}`, grant);
  });
}

async function owners(source: Client): Promise<Entry[]> {
  const { rows } = await source.query<{ owner: string; oids: string[] }>(
    `SELECT r.rolname AS owner, array_agg(l.oid::text ORDER BY l.oid) AS oids
       FROM pg_largeobject_metadata l JOIN pg_roles r ON r.oid = l.lomowner GROUP BY r.rolname ORDER BY r.rolname`,
  );
  return rows.flatMap(({ owner, oids }) => {
    const chunks = Array.from({ length: Math.ceil(oids.length / ownersPerEntry) }, (_, index) =>
      oids.slice(index * ownersPerEntry, (index + 1) * ownersPerEntry),
    );
    return chunks.map((some) => {
      const name = some.length === 1 ? some[0]! : `${some[0]!} to ${some.at(-1)!}`;
      const changes = some.map((oid) => `ALTER LARGE OBJECT ${oid} OWNER TO ${quoteIdentifier(owner)};`);
      return entry("LARGE OBJECT OWNER", name, changes.join("\n"), owner);
    });
  });
}

const entry = (type: string, name: string, sql: string, owner?: string): Entry => ({
  id: 0,
  classOid: 0,
  oid: 0,
  dependencies: [],
  name,
  type,
  schema: undefined,
  owner,
  tablespace: undefined,
  accessMethod: "heap",
  sql,
});
