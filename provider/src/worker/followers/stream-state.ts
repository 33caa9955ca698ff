import { deferredEntriesOf, type PostCutoverPlan } from "../initial-copy/post-cutover-plan.js";
import type { Counterparts } from "../schema-diff/compared-schemas.js";
import type { FollowedTables } from "../schema-diff/followed-tables.js";
import type { RestorePlan } from "../../schema/plan/restore-plan.js";

/** What a stream hands on to the cutover and to a successor. Plain JSON: the store keeps it. */
export interface StreamState extends PostCutoverPlan, Partial<Counterparts> {
  /** The tables whose changes are applied; unknown until the schema is compared for the first time. */
  readonly followed?: FollowedTables;
  /** Triggers, rules and policies: the `catalogueKey` on the target by the one on the source. */
  readonly followedRelationParts?: Readonly<Record<string, string>>;
  /** As `followedRelationParts`: functions, views and other objects that may be renamed. */
  readonly followedObjects?: Readonly<Record<string, string>>;
}

/** The result of restoring objects that the target lacked. */
export interface Restored {
  readonly plan: RestorePlan;
  /** Objects that the filter excludes or that could not be restored, as findings name them. */
  readonly missing: ReadonlySet<string>;
}

/** What runs after the cutover is that of the newest dump. */
export function mergeRestored(following: StreamState, { plan, missing }: Restored): Partial<StreamState> {
  const ownDefaults = following.handover.filter(({ type }) => type === "DEFAULT");
  return {
    handover: [...plan.handover, ...ownDefaults],
    keptBack: deferredEntriesOf(plan),
    materializedViews: plan.materializedViews,
    without: [...new Set([...following.without, ...missing])],
  };
}
