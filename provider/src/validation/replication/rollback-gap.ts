/** An obstacle to rollback replication, and its remedy. */
export interface RollbackGap {
  readonly object: string;
  readonly message: string;
  readonly remedy: string;
}
