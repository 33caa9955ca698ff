import { type Kind, ofDatabase } from "../kind.js";

export const schemas: Kind = () => ({
  ...ofDatabase("pg_namespace", "o.name"),
  kind: "'schema'",
  from: "users_schema o",
});
