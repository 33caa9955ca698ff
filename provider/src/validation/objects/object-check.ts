import type { FindingCode } from "../../finding-codes/finding-code.js";

/** A query that finds objects which will be missing or different on the target, and the finding about them. */
export interface ObjectCheck {
  readonly code: FindingCode;
  /** Returns names in a column `name` and, if a filter may exclude the object, its {@link catalogueKey} in `key`. */
  readonly query: string;
  readonly onlineOnly?: true;
  /** Concerns rows, not the schema. */
  readonly rowsOnly?: true;
  /** The oldest source that has the catalogue. */
  readonly from?: number;
  /** The oldest target that refuses it. */
  readonly to?: number;
  readonly state?: "Failed";
  readonly message: (names: string) => string;
  readonly remedy: string;
}

/** The {@link catalogueKey} of an object, for {@link ObjectCheck.query}. */
export const key = (catalogue: string, oid: string): string => `'${catalogue}'::regclass::oid || '/' || ${oid} AS key`;
