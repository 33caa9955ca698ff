import type { Kind } from "./kind.js";
import { casts } from "./kinds/casts.js";
import { database } from "./kinds/database.js";
import { defaultPrivileges } from "./kinds/default-privileges.js";
import { collations } from "./kinds/collations.js";
import { columns, viewColumns } from "./kinds/relations/columns.js";
import { constraints, domainConstraints, notNullConstraints } from "./kinds/relations/constraints.js";
import { conversions } from "./kinds/conversions.js";
import { extensions } from "./kinds/extensions.js";
import { foreignDataWrappers, foreignServers, userMappings } from "./kinds/foreign-data.js";
import { indexes } from "./kinds/relations/indexes.js";
import { inheritances } from "./kinds/relations/inheritance.js";
import { accessMethods, languages, transforms } from "./kinds/languages.js";
import { largeObjects } from "./kinds/large-objects.js";
import { operatorClasses, operatorFamilies, operators } from "./kinds/operators.js";
import { policies } from "./kinds/relations/policies.js";
import { publications, subscriptions } from "./kinds/publications.js";
import { routines } from "./kinds/routines.js";
import { rules } from "./kinds/relations/rules.js";
import { schemas } from "./kinds/schemas.js";
import { sequences } from "./kinds/relations/sequences.js";
import { statistics } from "./kinds/relations/statistics.js";
import { functionPrivileges, relationPrivileges, typePrivileges } from "./kinds/system-privileges.js";
import { tables } from "./kinds/relations/tables.js";
import {
  textSearchConfigurations,
  textSearchDictionaries,
  textSearchParsers,
  textSearchTemplates,
} from "./kinds/text-search.js";
import { eventTriggers, triggers } from "./kinds/relations/triggers.js";
import { types } from "./kinds/types.js";
import { views } from "./kinds/relations/views.js";

/** Tables and what decides which rows they accept. A change is applied to the target as an ALTER statement. */
export const tableKinds: readonly Kind[] = [tables, columns, indexes, constraints, domainConstraints, inheritances];

/** Parts of tables and views that have no parts themselves, and that no other object can need. */
export const relationParts: readonly Kind[] = [triggers, rules, policies];

/** Objects that are renamed and moved under their OIDs. Schemas and types are compared on their own. */
export const renamedKinds: readonly Kind[] = [
  ...[sequences, routines, views, statistics, collations, conversions, operators, operatorFamilies, operatorClasses],
  ...[eventTriggers, textSearchConfigurations, textSearchDictionaries],
];

/** Objects beside tables. A change is applied to the target by restoring the object from a dump. */
export const otherKinds: readonly Kind[] = [schemas, extensions, types, casts, ...relationParts, ...renamedKinds];

/** Objects that a dump contains and that are not followed one by one. A change of one makes the worker dump again. */
const furtherKinds: readonly Kind[] = [
  ...[viewColumns, notNullConstraints, foreignDataWrappers, foreignServers, userMappings, publications, subscriptions],
  ...[languages, transforms, accessMethods, textSearchParsers, textSearchTemplates, defaultPrivileges, largeObjects],
  ...[functionPrivileges, relationPrivileges, typePrivileges, database],
];

const namesOfFurtherKinds: ReadonlySet<string> = new Set(furtherKinds.map((kind) => kind(Infinity)!.kind.slice(1, -1)));

/** Whether the target may lack an object of this kind, because only a superuser may create it, for example. */
export const isOptional = (kind: string): boolean => namesOfFurtherKinds.has(kind);

export const allKinds: readonly Kind[] = [...tableKinds, ...otherKinds, ...furtherKinds];
