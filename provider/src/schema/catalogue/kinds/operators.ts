import { inSchema, type Kind, rowOf } from "../kind.js";

export const operators: Kind = () => ({
  ...inSchema("pg_operator", "opr"),
  kind: "'operator'",
  identity: "o.oid::regoperator::text",
  definition: rowOf("o", "oprowner"),
});
