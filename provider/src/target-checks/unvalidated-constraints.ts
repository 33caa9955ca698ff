import { qualify, quoteIdentifier, type RelationName } from "../postgres/identifiers.js";
import { checkedSchemas, type TargetCheck } from "./target-check.js";

interface Constraint extends RelationName {
  readonly constraint: string;
  readonly kind: "TABLE" | "DOMAIN";
}

/** From 18 on, a constraint that is not enforced counts as not validated, too. VALIDATE CONSTRAINT refuses it. */
const query = `
  SELECT n.nspname::text AS schema, coalesce(c.relname, t.typname)::text AS name, k.conname::text AS constraint,
         CASE WHEN c.oid IS NULL THEN 'DOMAIN' ELSE 'TABLE' END AS kind
    FROM pg_catalog.pg_constraint k LEFT JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
    LEFT JOIN pg_catalog.pg_type t ON t.oid = k.contypid JOIN pg_catalog.pg_namespace n ON n.oid = k.connamespace
   WHERE NOT k.convalidated AND coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::boolean, true) AND ${checkedSchemas("n")}
   ORDER BY 1, 2, 3`;

/** PGM-814: constraints that existing rows may violate. */
export const unvalidatedConstraints: TargetCheck = async (session) => {
  const { rows } = await session.query<Constraint>(query);
  return rows.map(({ schema, name, constraint, kind }) => ({
    type: "SchemaValidation",
    state: "Warning",
    code: "PGM-814",
    object: `${schema}.${name}`,
    message: `the constraint ${constraint} is not validated (it may be so on the source), so rows may violate it`,
    remedy: `ALTER ${kind} ${qualify(schema, name)} VALIDATE CONSTRAINT ${quoteIdentifier(constraint)}`,
  }));
};
