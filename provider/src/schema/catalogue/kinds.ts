import type { Kind } from "./kind.js";
import { casts } from "./kinds/casts.js";
import { collations } from "./kinds/collations.js";
import { columns } from "./kinds/relations/columns.js";
import { constraints, domainConstraints } from "./kinds/relations/constraints.js";
import { conversions } from "./kinds/conversions.js";
import { extensions } from "./kinds/extensions.js";
import { indexes } from "./kinds/relations/indexes.js";
import { inheritances } from "./kinds/relations/inheritance.js";
import { operatorClasses, operatorFamilies, operators } from "./kinds/operators.js";
import { policies } from "./kinds/relations/policies.js";
import { routines } from "./kinds/routines.js";
import { rules } from "./kinds/relations/rules.js";
import { schemas } from "./kinds/schemas.js";
import { sequences } from "./kinds/relations/sequences.js";
import { statistics } from "./kinds/relations/statistics.js";
import { tables } from "./kinds/relations/tables.js";
import { textSearchConfigurations, textSearchDictionaries } from "./kinds/text-search.js";
import { eventTriggers, triggers } from "./kinds/relations/triggers.js";
import { types } from "./kinds/types.js";
import { views } from "./kinds/relations/views.js";

/** Tables and what decides which rows they accept. A change is applied to the target as an ALTER statement. */
export const tableKinds: readonly Kind[] = [tables, columns, indexes, constraints, domainConstraints, inheritances];

/** Objects beside tables. A change is applied to the target by restoring the object from a dump. */
export const otherKinds: readonly Kind[] = [
  ...[schemas, extensions, types, sequences, routines, views, triggers, rules, policies, statistics],
  ...[
    collations,
    conversions,
    operators,
    operatorFamilies,
    operatorClasses,
    casts,
    eventTriggers,
    textSearchConfigurations,
    textSearchDictionaries,
  ],
];
