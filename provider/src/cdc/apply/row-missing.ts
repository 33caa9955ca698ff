/** An UPDATE or DELETE of the source found no row on the target, or several. */
export class RowMissing extends Error {
  constructor(what: string) {
    super(what);
    this.name = "RowMissing";
  }
}
