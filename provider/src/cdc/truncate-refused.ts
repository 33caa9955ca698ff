/**
 * The target does not empty a table to which another one refers that the stream does not tell of, as an unlogged one,
 * nor one of which a deferred constraint has still to be looked at for changes before. Its rows may be deleted all the
 * same.
 */
export class TruncateRefused extends Error {
  constructor(message: string, options: ErrorOptions) {
    super(message, options);
    this.name = "TruncateRefused";
  }
}
