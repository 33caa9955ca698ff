/** A schema change that an operator has to make on the target. */
export interface ManualChange {
  /** Whose changes cannot be applied before; qualified and quoted. */
  readonly tables: readonly string[];
  readonly sql: string;
}
