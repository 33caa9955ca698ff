import { ChangeRefused } from "../../cdc/apply/change-refused.js";
import { ShapeDiffers } from "../../cdc/binding/table-mapping.js";
import { ContentDiffersError, LockNotAvailableError, RefusedError } from "../../errors.js";

/**
 * Whether a change that the target could not take may be put right by its schema. A rule that the source has given up
 * refuses its rows on the target, as if they were others. A lock is no matter of the schema.
 */
export const isSchemaError = (error: unknown): boolean =>
  (error instanceof RefusedError && !(error instanceof LockNotAvailableError)) || error instanceof ContentDiffersError;

/** The table, qualified and quoted, whose change the stream has ended by. */
export const schemaErrorTable = (error: unknown): string | undefined =>
  error instanceof ShapeDiffers || error instanceof ChangeRefused ? error.table : undefined;
