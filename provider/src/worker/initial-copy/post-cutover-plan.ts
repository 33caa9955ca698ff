import type { OutputPlugin } from "../../cdc/source/slot.js";
import type { Entry } from "../../schema/sql/toc-entries.js";
import type { RestorePlan } from "../../schema/plan/restore-plan.js";
import type { RelationName } from "../../postgres/identifiers.js";
import type { SchemaBaseline } from "../schema-diff/schema-baseline.js";

/** The steps of the initial copy that are deferred to the cutover. Plain JSON, stored for a successor. */
export interface PostCutoverPlan {
  readonly handover: readonly Entry[];
  /** Triggers and foreign keys that the applier cannot disable, so they are created at cutover. As in {@link RestorePlan}. */
  readonly keptBack?: Pick<RestorePlan, "firing" | "firingValidations"> | undefined;
  readonly materializedViews: readonly RelationName[];
  /** From the cutover on: those that are refreshed as their owners, after the handover. */
  readonly refreshLater?: readonly RelationName[];
  readonly sourceSearchPath: string;
  /** Publications that the stream requests. */
  readonly publications: readonly string[];
  /** Online: the schema as of the snapshot. */
  readonly mark?: SchemaBaseline | undefined;
  /** Output plugin of the slot. */
  readonly plugin: OutputPlugin;
  /** Sequences that the filter excludes, as {@link relationKey}s. */
  readonly cutSequences: readonly string[];
  /** Objects that are missing on the target and were reported as findings, as keys of {@link compareSchemas}. */
  readonly without: readonly string[];
  /** Tables that are not completely copied yet: their OIDs on the source, by the names that the stream uses. */
  readonly joining?: Readonly<Record<string, number>>;
}

/** Returns the deferred entries, which may be empty; undefined if the plan defers nothing. */
export const deferredEntriesOf = ({
  deferTriggersAndForeignKeys,
  firing,
  firingValidations,
}: RestorePlan): PostCutoverPlan["keptBack"] =>
  deferTriggersAndForeignKeys ? { firing, firingValidations } : undefined;
