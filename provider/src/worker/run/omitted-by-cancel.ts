import { objectName } from "../../schema/restore/adapted-entry.js";
import type { Entry } from "../../schema/sql/toc-entries.js";
import type { OmittedObject } from "../../store/journal.js";
import type { DatabaseRecord } from "../../store/records.js";
import { enumerate } from "../../units/enumerate.js";
import type { PostCutoverPlan } from "../initial-copy/post-cutover-plan.js";

/**
 * What the target of a database does not get because its migration was canceled before the cutover. Foreign keys, triggers
 * and rules are included if they were deferred to the cutover.
 *
 * @param record the database before it is recorded as canceled
 */
export function omittedByCancel({ phase, deferredPlan }: DatabaseRecord): OmittedObject[] {
  if (phase !== "following") return [];
  const { handover, keptBack } = deferredPlan as PostCutoverPlan;
  const isKind =
    (...kinds: readonly string[]) =>
    ({ type }: Entry): boolean =>
      kinds.some((kind) => type.endsWith(kind));
  const named = [...(keptBack?.firing ?? []), ...handover].filter(isKind("FK CONSTRAINT", "TRIGGER", "RULE"));
  return [
    ...named.map((entry) => omitted(entry.type, objectName(entry))),
    ...summary("ROW SECURITY", handover.filter(isKind("ROW SECURITY"))),
    ...summary("OWNER", handover.filter(isKind(" OWNER"))),
    ...summary("SECURITY DEFINER", handover.filter(isKind(" DEFINER"))),
    ...summary("ACL", handover.filter(isKind("ACL"))),
    omitted("SEQUENCE SET", "values of all sequences"),
  ];
}

const summary = (objectType: string, entries: readonly Entry[]): OmittedObject[] =>
  entries.length === 0 ? [] : [omitted(objectType, enumerate([...new Set(entries.map(objectName))]))];

const omitted = (objectType: string, object: string): OmittedObject => ({
  objectType,
  object,
  reason: "it is set on the target at the cutover, and the migration was canceled before",
  remedy: "migrate the database again; if the copy is to be used as it is, create or set it manually",
});
