/** An UPDATE or DELETE of the source found no row on the target, or more than one. */
export class RowMissing extends Error {
  constructor(what: string) {
    super(what);
    this.name = "RowMissing";
  }
}
