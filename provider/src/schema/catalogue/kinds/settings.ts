import { rulesOf } from "../change-rule.js";

/** Settings that `object-settings.ts` reads, and what a dump has at its end. */
export const settingRules = rulesOf("setting of an object", {
  changed: {
    change: "option, storage, statistics target, replica identity, comment or member of an operator family changed",
    action: "cutover",
    reason: "Rows do not depend on it.",
    ifRefused: "finding",
  },
  owned: {
    change: "owner or privileges changed",
    action: "cutover",
    reason: "The migration's role owns the tables until then.",
  },
});
