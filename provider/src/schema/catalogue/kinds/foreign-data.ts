import { type Kind, ofDatabase, sorted } from "../kind.js";

export const foreignDataWrappers: Kind = () => ({
  ...ofDatabase("pg_foreign_data_wrapper", "o.fdwname"),
  kind: "'foreign-data wrapper'",
  owner: "o.fdwowner",
  acl: ["o.fdwacl", "F"],
  settings: {
    handler: "nullif(o.fdwhandler, 0)::regproc::text",
    validator: "nullif(o.fdwvalidator, 0)::regproc::text",
    "foreign options": sorted("o.fdwoptions"),
  },
});

export const foreignServers: Kind = () => ({
  ...ofDatabase("pg_foreign_server", "o.srvname"),
  kind: "'server'",
  owner: "o.srvowner",
  acl: ["o.srvacl", "S"],
  settings: {
    wrapper: "(SELECT fdwname FROM pg_foreign_data_wrapper WHERE oid = o.srvfdw)",
    type: "o.srvtype",
    version: "o.srvversion",
    "foreign options": sorted("o.srvoptions"),
  },
});

/** Options that the role may not read are NULL, as if the mapping had none. */
export const userMappings: Kind = () => ({
  catalogue: "pg_user_mapping",
  oid: "o.umid",
  from: "pg_user_mappings o",
  schema: "''",
  name: "o.usename",
  kind: "'user mapping'",
  identity: "format('FOR %s SERVER %I', CASE o.umuser WHEN 0 THEN 'PUBLIC' ELSE quote_ident(o.usename) END, o.srvname)",
  settings: { "foreign options": `CASE WHEN o.umoptions IS NOT NULL THEN ${sorted("o.umoptions")} END` },
});
