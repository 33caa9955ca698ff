import { keptBackOf, type Remainder } from "./initial-copy/post-cutover-plan.js";
import type { Restored } from "./schema-sync/new-objects.js";

/** What a stream hands on to the cutover and to a successor. Plain JSON: the store keeps it. */
export interface Following extends Remainder {
  /** Qualified names of the tables that are followed. */
  readonly followed?: readonly string[];
  /** Of these, those whose copy was begun and is not known to be complete. */
  readonly joining?: readonly string[];
}

/** What runs after the cutover is that of the newest dump. */
export function adopted(following: Following, { plan, missing }: Restored): Partial<Following> {
  const ownDefaults = following.handover.filter(({ type }) => type === "DEFAULT");
  return {
    handover: [...plan.handover, ...ownDefaults],
    keptBack: keptBackOf(plan),
    materializedViews: plan.materializedViews,
    without: [...new Set([...following.without, ...missing])],
  };
}
