/** A value of the configuration that Azure would refuse, or that contradicts another one. */
export interface ConfigFailure {
  /** The configuration's key: `server.sku.tier`. */
  readonly key: string;
  readonly message: string;
}
