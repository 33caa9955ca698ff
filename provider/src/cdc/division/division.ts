/** How the changes of one table are divided among apply sessions. Changes that it sends to different sessions commute. */
export type TableDivision =
  /** All changes of a key in one session. */
  | { readonly by: "key"; readonly columns: readonly KeyColumn[] }
  /** The inserts of a transaction in one session. */
  | { readonly by: "transaction" }
  /** All changes of the table in one session. */
  | { readonly by: "table"; readonly session: number };

export interface KeyColumn {
  readonly name: string;
  readonly type: KeyType;
}

/** Types whose equal values have one text form, independently of settings. */
export type KeyType = "integer" | "uuid" | "text";

/**
 * How changes are divided among the apply sessions. It is recorded before any session uses it, because a successor must divide
 * an unfinished batch in the same way.
 */
export interface Division {
  readonly sessions: number;
  /** By qualified and quoted name. Changes of other tables are not divided. */
  readonly tables: ReadonlyMap<string, TableDivision>;
}
