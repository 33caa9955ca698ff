import { inSchema, type Kind } from "../kind.js";

/** Mappings and options are settings that can change while the object exists. */
export const textSearchConfigurations: Kind = () => ({
  ...inSchema("pg_ts_config", "cfg"),
  kind: "'text search configuration'",
});

export const textSearchDictionaries: Kind = () => ({
  ...inSchema("pg_ts_dict", "dict"),
  kind: "'text search dictionary'",
});
