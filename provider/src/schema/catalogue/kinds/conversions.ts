import { restoredRules } from "../change-rule.js";
import { inSchema, type Kind, rowOf } from "../kind.js";

export const conversions: Kind = () => ({
  ...inSchema("pg_conversion", "con"),
  kind: "'conversion'",
  definition: rowOf("o", "conowner", "connamespace"),
});

export const conversionRules = restoredRules("conversion");
