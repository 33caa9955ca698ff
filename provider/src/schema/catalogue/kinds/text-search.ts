import { rulesOf } from "../change-rule.js";
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

const rules = (kind: string) =>
  rulesOf(kind, {
    created: { action: "after", reason: "No row depends on it." },
    dropped: { action: "keep", reason: "Objects that only the target has may use it." },
  });

export const textSearchConfigurationRules = rules("text search configuration");
export const textSearchDictionaryRules = rules("text search dictionary");
