import type { ChangeRule, ChangeRules } from "./change-rule.js";
import { castRules } from "./kinds/casts.js";
import { collationRules } from "./kinds/collations.js";
import { columnRules, defaultRules, generatedColumnRules, identityRules } from "./kinds/relations/columns.js";
import { checkRules, domainConstraintRules, foreignKeyRules, keyRules } from "./kinds/relations/constraints.js";
import { conversionRules } from "./kinds/conversions.js";
import { extensionRules } from "./kinds/extensions.js";
import { indexRules, uniqueIndexRules } from "./kinds/relations/indexes.js";
import { inheritanceRules, partitionRules } from "./kinds/relations/inheritance.js";
import { operatorClassRules, operatorFamilyRules, operatorRules } from "./kinds/operators.js";
import { policyRules } from "./kinds/relations/policies.js";
import { aggregateRules, functionRules, procedureRules } from "./kinds/routines.js";
import { ruleRules } from "./kinds/relations/rules.js";
import { schemaRules } from "./kinds/schemas.js";
import { sequenceRules } from "./kinds/relations/sequences.js";
import { settingRules } from "./kinds/settings.js";
import { statisticsRules } from "./kinds/relations/statistics.js";
import { tableRules, typedTableRules } from "./kinds/relations/tables.js";
import { textSearchConfigurationRules, textSearchDictionaryRules } from "./kinds/text-search.js";
import { eventTriggerRules, triggerRules } from "./kinds/relations/triggers.js";
import { attributeRules, domainRules, labelRules, typeRules } from "./kinds/types.js";
import { materializedViewRules, viewRules } from "./kinds/relations/views.js";

/** The rule table: what becomes of each change of the source's schema. docs/schema-changes.md shows it. */
export const changeRules: readonly ChangeRules[] = [
  ...[schemaRules, tableRules, typedTableRules, partitionRules, inheritanceRules],
  ...[columnRules, defaultRules, identityRules, generatedColumnRules],
  ...[keyRules, foreignKeyRules, checkRules, indexRules, uniqueIndexRules],
  ...[typeRules, labelRules, attributeRules, domainRules, domainConstraintRules],
  ...[sequenceRules, functionRules, procedureRules, aggregateRules, viewRules, materializedViewRules],
  ...[triggerRules, ruleRules, policyRules, eventTriggerRules, statisticsRules, extensionRules],
  ...[operatorRules, operatorFamilyRules, operatorClassRules, castRules, conversionRules, collationRules],
  ...[textSearchConfigurationRules, textSearchDictionaryRules, settingRules],
];

const rulesByChange = new Map(
  changeRules.flatMap((rules) => Object.entries(rules).map(([change, rule]) => [`${rule.kind} ${change}`, rule])),
);

/**
 * The rule of an object that is restored from a dump. Undefined if it has none: a part of another object, or a kind that is
 * not altered.
 *
 * @param kind as in a dump's entries, or in lower case: `FUNCTION`, `materialized view`
 */
export const restoredRule = (kind: string, change: "created" | "changed" | "renamed"): ChangeRule | undefined =>
  rulesByChange.get(`${kind.toLowerCase()} ${change}`);
