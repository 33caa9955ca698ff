import { aRelation, type Kind } from "../kind.js";

export const tables: Kind = () => ({
  ...aRelation,
  kind: "CASE o.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' ELSE 'foreign table' END",
  where: "o.relkind IN ('r', 'p', 'f')",
});
