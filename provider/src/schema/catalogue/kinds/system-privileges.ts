import type { Kind } from "../kind.js";
import { changedSince } from "../privileges.js";

interface SystemObjects {
  readonly catalogue: string;
  /** The prefix of the catalogue's column names. */
  readonly prefix: string;
  readonly kind: string;
  /** The letter by which acldefault() identifies the kind. */
  readonly letter: string;
  readonly identity: string;
}

/**
 * Privileges on objects of PostgreSQL and of extensions that differ from those that they were created with. pg_dump omits those in
 * information_schema.
 */
const changedPrivileges =
  ({ catalogue, prefix, kind, letter, identity }: SystemObjects): Kind =>
  (version) =>
    version < 90600
      ? undefined
      : {
          catalogue,
          from: `${catalogue} o LEFT JOIN pg_init_privs i ON i.classoid = '${catalogue}'::regclass AND i.objoid = o.oid AND i.objsubid = 0`,
          schema: `(SELECT nspname FROM pg_namespace WHERE oid = o.${prefix}namespace)`,
          name: `o.${prefix}name`,
          kind: `'privileges on the ${kind}'`,
          identity,
          where: `o.${prefix}namespace <> 'information_schema'::regnamespace AND o.${prefix}acl IS NOT NULL AND o.${prefix}acl IS DISTINCT FROM coalesce(i.initprivs, acldefault('${letter}', o.${prefix}owner))
            AND (o.oid < 16384 OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = '${catalogue}'::regclass AND d.objid = o.oid AND d.deptype = 'e'))`,
          settings: {
            privileges: changedSince(
              `o.${prefix}acl`,
              `coalesce(i.initprivs, acldefault('${letter}', o.${prefix}owner))`,
              `o.${prefix}owner`,
            ),
          },
        };

export const functionPrivileges = changedPrivileges({
  ...{ catalogue: "pg_proc", prefix: "pro", kind: "function", letter: "f" },
  identity: "o.oid::regprocedure::text",
});

export const relationPrivileges = changedPrivileges({
  ...{ catalogue: "pg_class", prefix: "rel", kind: "relation", letter: "r" },
  identity: "o.oid::regclass::text",
});

export const typePrivileges = changedPrivileges({
  ...{ catalogue: "pg_type", prefix: "typ", kind: "type", letter: "T" },
  identity: "format_type(o.oid, NULL)",
});
