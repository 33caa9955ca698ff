import { ChangeRefused } from "../../cdc/apply/change-refused.js";
import { ShapeDiffers } from "../../cdc/binding/table-mapping.js";
import { ContentDiffersError, LockNotAvailableError, RefusedError } from "../../errors.js";

/**
 * Whether the target may have refused a change because its schema differs from the source's. For example, a constraint that
 * the source has dropped still refuses rows on the target. A lock that was not granted has nothing to do with the schema.
 */
export const isSchemaError = (error: unknown): boolean =>
  (error instanceof RefusedError && !(error instanceof LockNotAvailableError)) || error instanceof ContentDiffersError;

/** The table, qualified and quoted, whose change ended the stream. */
export const schemaErrorTable = (error: unknown): string | undefined =>
  error instanceof ShapeDiffers || error instanceof ChangeRefused ? error.table : undefined;
