import { renamedOrMoved, rulesOf } from "../change-rule.js";
import { inSchema, type Kind, nameIn } from "../kind.js";

/** Mappings and options are settings that can change while the object exists. */
export const textSearchConfigurations: Kind = () => ({
  ...inSchema("pg_ts_config", "cfg"),
  kind: "'text search configuration'",
  settings: {
    parser: nameIn("pg_ts_parser", "prs", "o.cfgparser"),
    mappings: `ARRAY(
      SELECT t.alias || ': ' || string_agg(${nameIn("pg_ts_dict", "dict", "m.mapdict")}, ', ' ORDER BY m.mapseqno)
        FROM pg_ts_config_map m JOIN ts_token_type(o.cfgparser) t ON t.tokid = m.maptokentype
       WHERE m.mapcfg = o.oid GROUP BY t.alias ORDER BY t.alias)`,
  },
});

export const textSearchDictionaries: Kind = () => ({
  ...inSchema("pg_ts_dict", "dict"),
  kind: "'text search dictionary'",
  settings: { template: nameIn("pg_ts_template", "tmpl", "o.dicttemplate"), options: "o.dictinitoption" },
});

/** Only superusers create parsers and templates. */
export const textSearchParsers: Kind = () => ({
  ...withoutOwner("pg_ts_parser", "prs"),
  kind: "'text search parser'",
  definition: "concat_ws(' ', o.prsstart, o.prstoken, o.prsend, o.prsheadline, o.prslextype)",
});

export const textSearchTemplates: Kind = () => ({
  ...withoutOwner("pg_ts_template", "tmpl"),
  kind: "'text search template'",
  definition: "concat_ws(' ', o.tmplinit, o.tmpllexize)",
});

const withoutOwner = (catalogue: string, prefix: string) => {
  const { owner: _, ...place } = inSchema(catalogue, prefix);
  return place;
};

const rules = (kind: string) =>
  rulesOf(kind, {
    created: { action: "after", reason: "No row depends on it." },
    renamed: renamedOrMoved,
    dropped: { action: "keep", reason: "Objects that only the target has may use it." },
  });

export const textSearchConfigurationRules = rules("text search configuration");
export const textSearchDictionaryRules = rules("text search dictionary");
