import { rulesOf } from "../change-rule.js";
import { type Kind, ofDatabase } from "../kind.js";

export const extensions: Kind = () => ({
  ...ofDatabase("pg_extension", "o.extname"),
  kind: "'extension'",
  settings: { schema: "(SELECT nspname FROM pg_namespace WHERE oid = o.extnamespace)" },
});

export const extensionRules = rulesOf("extension", {
  created: { action: "before", reason: "New columns and tables may need its types and functions." },
  dropped: { action: "keep", reason: "Objects that only the target has may use it." },
});
