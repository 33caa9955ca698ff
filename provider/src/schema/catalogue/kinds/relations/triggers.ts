import { storedTree } from "../../../../postgres/stored-tree.js";
import { relationPartRules, restoredRules } from "../../change-rule.js";
import { joined, type Kind, ofDatabase, ofRelation } from "../../kind.js";

export const triggers: Kind = (version) => ({
  ...ofRelation("pg_trigger", "tgrelid", "tgname"),
  kind: "'trigger'",
  where: "NOT o.tgisinternal",
  // From 11 on, triggers of partitions are created with their parents'. From 13 on, the catalogue identifies them.
  ofParent: version >= 130000 ? "o.tgparentid <> 0" : "false",
  attributes: { enabled: "o.tgenabled <> 'D'" },
  definition:
    "concat_ws(' ', regexp_replace(pg_get_triggerdef(o.oid), 'EXECUTE PROCEDURE', 'EXECUTE FUNCTION'), o.tgenabled)",
  references: joined("o.tgfoid", "o.tgconstrrelid", "o.tgattr", storedTree("o.tgqual")),
});

export const eventTriggers: Kind = () => ({
  ...ofDatabase("pg_event_trigger", "o.evtname"),
  kind: "'event trigger'",
  owner: "o.evtowner",
  definition: "concat_ws(' ', o.evtevent, o.evtfoid::regprocedure, o.evtenabled, o.evttags)",
  references: "o.evtfoid::text",
});

export const triggerRules = relationPartRules("trigger");
export const eventTriggerRules = restoredRules("event trigger");
