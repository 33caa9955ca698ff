import { aRelation, type Kind } from "../kind.js";

export const partitions: Kind = () => ({
  ...aRelation,
  kind: "'partition'",
  from: "pg_inherits h JOIN relation o ON o.oid = h.inhrelid JOIN relation p ON p.oid = h.inhparent AND p.relkind = 'p'",
  where: "o.relkind IN ('r', 'p', 'f')",
  of: "p",
  identity: "o.identity || ' of ' || p.identity",
});
