import { restoredRules } from "../change-rule.js";
import { inSchema, type Kind } from "../kind.js";

export const conversions: Kind = () => ({
  ...inSchema("pg_conversion", "con"),
  kind: "'conversion'",
  definition: `concat_ws(' ', pg_encoding_to_char(o.conforencoding), pg_encoding_to_char(o.contoencoding), o.conproc::regproc, o.condefault)`,
  references: "o.conproc::oid::text",
});

export const conversionRules = restoredRules("conversion");
